"""Telling people: one target, which takes a message or says why it did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from reconciler.events import Severity  # every event comes with it, and who reads the ledger needs none

TITLE_BYTES_MAX: Final = 160
BODY_BYTES_MAX: Final = 1800
"""A message of both is under the 2,000 bytes or so that group robots (WeCom, DingTalk) take."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is told: plain text, short, without secrets or personal data."""

    title: str
    body: str
    severity: Severity
    """The worst of what it is about; NOTICE is good news."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The target took it."""


@dataclass(frozen=True, slots=True)
class Unheard:
    """It did not, or nobody knows; telling it again may tell it twice."""

    why: str
    """For people: one line, without secrets."""


class Alerter(Protocol):
    """One target."""

    @property
    def name(self) -> str:
        """Say which it is, without what is secret about it."""
        ...

    async def tell(self, message: Message) -> Heard | Unheard:
        """Tell it. Never raises for a target that fails; one that hangs may be given up, and told again later."""
        ...
