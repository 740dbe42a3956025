"""What libraries say through `logging` and `warnings`, as events."""

from __future__ import annotations

import logging
from collections.abc import Callable

from reconciler.events.library import LibraryWarning
from reconciler.ops.value import RAW_LENGTH_MAX, shortened
from reconciler.ports import Clock

MESSAGE_LENGTH_MAX = 500
SAME_AGAIN_AFTER_S = 60.0
SOURCES_MAX = 256


class Capture(logging.Handler):
    """Passes warnings and errors of libraries on as `library.warning`; the same one once a minute, with a count."""

    def __init__(self, emit: Callable[[LibraryWarning], None], mask: Callable[[str], str], clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self._emit = emit
        self._mask = mask
        self._clock = clock
        self._last: dict[tuple[str, str], float] = {}
        self._suppressed: dict[tuple[str, str], int] = {}
        self._earlier_level = logging.root.level
        self._earlier_handlers: list[logging.Handler] = []

    def install(self) -> None:
        """Be the only handler of the root logger, and take Python's warnings too."""
        self._earlier_level = logging.root.level
        self._earlier_handlers = logging.root.handlers[:]
        logging.root.handlers[:] = [self]
        logging.root.setLevel(logging.WARNING)
        logging.captureWarnings(capture=True)

    def remove(self) -> None:
        """Put back what was there."""
        logging.captureWarnings(capture=False)
        logging.root.handlers[:] = self._earlier_handlers
        logging.root.setLevel(self._earlier_level)

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record of `logging`."""
        source = (record.name, str(record.msg)[:MESSAGE_LENGTH_MAX])
        now = self._clock.monotonic()
        last = self._last.get(source)
        if last is not None and now - last < SAME_AGAIN_AFTER_S:
            self._suppressed[source] = self._suppressed.get(source, 0) + 1
            return
        if last is None and len(self._last) >= SOURCES_MAX:
            self._last.clear()
            self._suppressed.clear()
        self._last[source] = now
        suppressed = self._suppressed.pop(source, None)
        message = shortened(" ".join(self._mask(_text(record)).split()), MESSAGE_LENGTH_MAX)
        self._emit(LibraryWarning(logger=record.name, message=message, suppressed=suppressed))


def _text(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError):
        text = str(record.msg)  # its arguments do not fit: a library's own mistake
    if record.name == "py.warnings":
        text = text.partition("\n")[0]  # the second line quotes source code
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        text = f"{text}: {type(error).__name__}: {error}{_place(error)}"
    return text[:RAW_LENGTH_MAX]


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f" (at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})"
