"""The log: every event of the catalogue as one line, for journald, a terminal, or a program that reads JSON.

An event passes structlog's processors one after another: plain values, mask, line. What writes comes last.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, MutableMapping
from datetime import datetime
from functools import partial
from typing import Any, Literal, TextIO

import structlog

from reconciler.events import Event
from reconciler.ops.capture import Capture
from reconciler.ops.clock import SystemClock
from reconciler.ops.crowd import Crowd
from reconciler.ops.journald import Journal, is_our_stderr
from reconciler.ops.line import TRACEBACK, Record, console, json_line
from reconciler.ops.mask import Mask
from reconciler.ops.sink import Entries, Lines, Sink
from reconciler.ops.value import TEXT_LENGTH_MAX, bounded, plain
from reconciler.ports import Clock

Format = Literal["auto", "journald", "console", "json"]
TRACEBACK_LENGTH_MAX = 16_000

_Passing = MutableMapping[str, Any]
"""structlog's event dictionary; ours holds what a `Record` holds."""


def configure(
    format: Format = "auto",  # noqa: A002 # the configuration's own word
    *,
    clock: Clock | None = None,
    stream: TextIO | None = None,
    journal: Journal | None = None,
) -> Log:
    """Make the log, and let it take what libraries say through `logging` and `warnings` until it is closed.

    `auto` is journald where it reads our `stream` (standard error), else console on a terminal, else json. Lines that
    journald does not take go to `stream`.
    """
    stream = sys.stderr if stream is None else stream
    chosen = _chosen(stream) if format == "auto" else format
    coloured = chosen == "console" and _is_coloured(stream)
    render = json_line if chosen == "json" else partial(console, coloured=coloured)
    lines = Lines(stream, render)
    sink = Entries(journal or Journal(), lines) if chosen == "journald" else lines
    return Log(sink, clock or SystemClock())


class Log:
    """Implements `reconciler.ports.Events`. Never raises for a line that cannot be written: `lost` counts those."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._mask = Mask()
        self._crowd = Crowd(clock)
        processors: list[structlog.typing.Processor] = [_plain_values, self._masked, _bounded_values, _record]
        self._logger = _Logger(sink, processors, {})
        self._capture = Capture(self.emit, self._mask.text, clock)
        self._capture.install()

    @property
    def lost(self) -> int:
        """How many lines could not be written anywhere."""
        return self._sink.lost

    def emit(self, event: Event) -> None:
        """Write one event, or count it where it comes in a crowd."""
        self.tidy()
        if self._crowd.lets_pass(event):
            self._logger.emit(event, self._clock.now())

    def tidy(self, *, at_once: bool = False) -> None:
        """Write the lines that stand for what was counted, where their time has come. To be called now and then."""
        for more in self._crowd.over(at_once=at_once):
            self._logger.emit(more, self._clock.now())

    def never_print(self, values: Iterable[str | bytes]) -> None:
        """Put stars where one of these secrets would stand, from now on."""
        self._mask.never_print(values)

    def masked(self, text: str) -> str:
        """Give a text as it may be printed: for what is told to people by another way than this log."""
        return self._mask.text(text)

    def close(self) -> None:
        """Write what was counted, give `logging` and `warnings` back, and let go of journald."""
        self.tidy(at_once=True)
        self._capture.remove()
        self._sink.close()

    def _masked(self, _logger: object, _method: str, passing: _Passing) -> _Passing:
        passing["fields"] = {name: self._mask.field(name, value) for name, value in passing["fields"].items()}
        return passing


class _Logger(structlog.BoundLoggerBase):
    def emit(self, event: Event, at: datetime) -> None:
        self._proxy_to_logger(
            "write",
            event.name,
            at=at,
            severity=event.severity,
            message_id=event.message_id,
            fields=event.fields(),
        )


def _plain_values(_logger: object, _method: str, passing: _Passing) -> _Passing:
    passing["fields"] = {name: plain(value) for name, value in passing["fields"].items()}
    return passing


def _bounded_values(_logger: object, _method: str, passing: _Passing) -> _Passing:
    passing["fields"] = {
        name: bounded(value, TRACEBACK_LENGTH_MAX if name == TRACEBACK else TEXT_LENGTH_MAX)
        for name, value in passing["fields"].items()
    }
    return passing


def _record(_logger: object, _method: str, passing: _Passing) -> tuple[tuple[Record], dict[str, Any]]:
    return (Record(**passing),), {}


def _chosen(stream: TextIO) -> Format:
    if is_our_stderr(stream):
        return "journald"
    return "console" if _is_terminal(stream) else "json"


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False


def _is_coloured(stream: TextIO) -> bool:
    return _is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
