"""`[alerts]`: who is told, and of what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from reconciler.domain.case import CaseKind
from reconciler.settings.problems import unknown
from reconciler.settings.secret import Secret
from reconciler.settings.types import Strict

TARGETS_MAX = 20
ALSO_MAX = 100
SEVERITIES = ("warning", "error", "critical")


def alerting() -> tuple[str, ...]:
    """Name the events that somebody can be told of."""
    from reconciler.events import CATALOGUE  # noqa: PLC0415 # most configurations name none

    return tuple(name for name, kind in sorted(CATALOGUE.items()) if kind.alert is not None)


def _subject(name: str) -> str:
    known = (*SEVERITIES, *(kind.value for kind in CaseKind))
    if name in known or name in alerting():
        return name
    raise ValueError(unknown(name, [*known, *alerting()], "case kind, event or severity"))


def _listed(value: object) -> object:
    """Make a tuple of an array: those of a free table come as they are in the file."""
    return tuple(value) if isinstance(value, list) else value


Targets = Annotated[tuple[Secret, ...], Field(max_length=TARGETS_MAX, examples=['["credential:alerts"]'])]
Some = Annotated[tuple[Secret, ...], BeforeValidator(_listed), Field(min_length=1, max_length=TARGETS_MAX)]
Subject = Annotated[str, AfterValidator(_subject)]


class AlertsSettings(Strict):
    """`[alerts]`: who is told."""

    targets: Targets = ()
    """Told of every case, and of every trouble from `min_severity` on."""
    min_severity: Literal["warning", "error", "critical"] = "warning"
    also: Annotated[
        Mapping[Subject, Some],
        Field(max_length=ALSO_MAX, examples=['{ "error" = ["credential:pager"] }']),
    ] = Field(default_factory=dict)
    """Who else is told: by case kind, by event, or by severity (of events, from there on)."""
    heartbeat_url: Annotated[Secret | None, Field(examples=['"credential:heartbeat"'])] = None
