"""What an event is: a frozen dataclass with a name, a severity, a MESSAGE_ID, a meaning and an advice."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import ClassVar, TypeVar, dataclass_transform

_NAMESPACE = uuid.UUID("6f0a8c5e-63d5-4c1b-9d9a-3b6f0e2f7a10")
"""MESSAGE_IDs are derived from names under it, and so are fixed for as long as a name is."""


class Severity(IntEnum):
    """Syslog's severities, as journald's PRIORITY wants them (syslog(3))."""

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


@dataclass(frozen=True, slots=True)
class Alert:
    """That somebody is told of an event, by whatever `alerts.targets` names, and of what ends it.

    Only what a person should act upon has one; whatever heals by itself within seconds is for the log.
    """

    ends: tuple[str, ...] = ()
    """The events that end this trouble; empty: it is over as it happens, and told of at once."""
    subject: tuple[str, ...] = ()
    """The fields that tell one such trouble from another: the channel."""
    patience: timedelta = timedelta(minutes=1)
    """A trouble that is over sooner is not told of at all."""
    shared: bool = False
    """It is the same for every daemon beside this shop: a standby leaves it to the leader."""


class Event:
    """One thing that happened. Its fields are the log line's; the order of fields is the order on the line."""

    name: ClassVar[str]
    severity: ClassVar[Severity]
    message_id: ClassVar[str]
    meaning: ClassVar[str]
    advice: ClassVar[str]
    alert: ClassVar[Alert | None]

    def fields(self) -> dict[str, object]:
        """Give the line's fields, in order, without the empty ones."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type] # every subclass is made a dataclass by @event
        return {name: value for name, value in values.items() if value is not None and value != ""}


CATALOGUE: dict[str, type[Event]] = {}
"""Every event by name. The reference page, the journald catalogue and the tests come from it."""

_E = TypeVar("_E", bound=Event)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def event(
    name: str, severity: Severity, *, meaning: str, advice: str, alert: Alert | None = None
) -> Callable[[type[_E]], type[_E]]:
    """Put an event class into the catalogue. `advice` says what to do; "nothing" is an advice too."""

    def register(cls: type[_E]) -> type[_E]:
        if name in CATALOGUE:
            raise ValueError(f"two events named {name}")
        made = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        made.name = name
        made.severity = severity
        made.message_id = uuid.uuid5(_NAMESPACE, name).hex
        made.meaning = meaning
        made.advice = advice
        made.alert = alert
        CATALOGUE[name] = made
        return made

    return register
