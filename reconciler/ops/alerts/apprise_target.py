"""A target by Apprise: WeCom, DingTalk, Feishu, mail and a hundred more, each by its URL.

Apprise is an extra, and is imported where a target is opened, not before: it takes its time. It speaks HTTP by itself,
in threads of ours, at most one for each target: a target that hangs holds up nothing, not even the end of the process.
Its URLs are secrets from end to end. What it logs is taken from it here, for the reason of a failure, and masked.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import warnings
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any, Final, Self

from reconciler.events import Severity
from reconciler.ops.mask import Mask
from reconciler.ports import Heard, Message, Unheard

PACKAGE: Final = "apprise"
URLS_MAX: Final = 20
"""Targets altogether."""
WHY_LENGTH_MAX: Final = 200
REMEDIES: Final = (
    ("no answer within", "look at the network to it, and at HTTPS_PROXY"),
    ("", "compare its URL with what Apprise's page on this service says, and look at the service's own settings"),
)
_URL: Final = re.compile(r"\b([a-z][a-z0-9+.-]*)://\S+", re.IGNORECASE)


class TargetUnusable(ValueError):
    """A URL that Apprise cannot make anything of; the text does not hold it."""


def is_installed() -> bool:
    """Whether Apprise is there; does not import it."""
    return find_spec(PACKAGE) is not None


def urls_of(secret: bytes) -> tuple[str, ...]:
    """Read the URLs that a credential holds: one, or one on each line."""
    lines = (line.strip() for line in secret.decode(errors="replace").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def remedy_of(why: str) -> str:
    """Say what to do about a target that did not take a message."""
    return next(remedy for begin, remedy in REMEDIES if begin in why)


class AppriseTarget:
    """Implements `Alerter`."""

    def __init__(self, where: str, url: str) -> None:
        """Open one; `where` is its place in the configuration. Raises TargetUnusable."""
        self.name = f"{where} {url.partition(':')[0].lower() if '://' in url else '?'}://…"
        self._mask = Mask()
        self._mask.never_print([url])
        self._plugin = _opened(url)
        self._thread: threading.Thread | None = None

    async def tell(self, message: Message) -> Heard | Unheard:
        """Tell it, in a thread; where the one before still hangs there, do not even try."""
        if self._thread is not None and self._thread.is_alive():
            return Unheard("it still hangs with the message before")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Heard | Unheard] = loop.create_future()

        def work() -> None:
            outcome = self._told(message)
            try:
                loop.call_soon_threadsafe(_settle, answer, outcome)
            except RuntimeError:
                return  # the loop has ended meanwhile

        # A daemon thread, and not the loop's executor: that one is waited for at the end of the process.
        self._thread = threading.Thread(target=work, name="alert", daemon=True)
        self._thread.start()
        return await answer

    def _told(self, message: Message) -> Heard | Unheard:
        with _Overheard() as said:
            try:
                taken = self._plugin.notify(
                    title=message.title, body=message.body, notify_type=_TYPES[message.severity], body_format="text"
                )
            except Exception as fault:  # noqa: BLE001 # whatever a plugin of Apprise's may raise: it is said, once
                return Unheard(self._harmless([f"{type(fault).__name__}: {fault}"]))
        return Heard() if taken else Unheard(self._harmless(said.lines))

    def _harmless(self, lines: Iterable[str]) -> str:
        text = " ".join(" ".join(lines).split()) or "it did not take the message, and did not say why"
        return _URL.sub(r"\1://…", self._mask.text(text))[:WHY_LENGTH_MAX]


_TYPES: Final = {
    Severity.CRITICAL: "failure",
    Severity.ERROR: "failure",
    Severity.WARNING: "warning",
    Severity.NOTICE: "success",
    Severity.INFO: "info",
    Severity.DEBUG: "info",
}


class _Overheard(logging.Handler):
    """Takes what Apprise logs in this thread, so that its words (a URL among them) go nowhere else."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._mine = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._mine and len(self.lines) < 5:  # noqa: PLR2004 # the first few say it
            self.lines.append(record.getMessage())

    def __enter__(self) -> Self:
        logging.getLogger(PACKAGE).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger(PACKAGE).removeHandler(self)


def _opened(url: str) -> Any:  # noqa: ANN401 # Apprise ships no types
    import apprise  # noqa: PLC0415 # an extra, and slow to import

    logger = logging.getLogger(PACKAGE)
    logger.propagate = False
    logger.setLevel(logging.WARNING)  # at debug level it logs whole URLs, whoever may listen
    asset = apprise.AppriseAsset(app_id="Reconciler", app_desc="Reconciler", plugin_paths=[], async_mode=False)
    try:
        with warnings.catch_warnings():  # it reads all of its plugins at the first one
            warnings.simplefilter("ignore", DeprecationWarning)
            # Its plugin is called directly: Apprise's own pool of threads is shared, and waited for at the end.
            plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    except Exception as fault:  # noqa: BLE001 # a plugin's, whatever it is; its text may hold the URL
        raise TargetUnusable(f"Apprise fails to read it ({type(fault).__name__})") from None
    if plugin is None:
        scheme = url.partition("://")[0] if "://" in url else ""
        about = f" of {scheme}://" if re.fullmatch(r"[a-z0-9]{2,20}", scheme) else ""
        raise TargetUnusable(f"is no URL{about} that Apprise knows; write it like wecombot://KEY")
    return plugin


def _settle(answer: asyncio.Future[Heard | Unheard], outcome: Heard | Unheard) -> None:
    if not answer.done():
        answer.set_result(outcome)
