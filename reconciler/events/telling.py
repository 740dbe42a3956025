"""Events of telling people: targets that do not take what they are told, and the heartbeat."""

from __future__ import annotations

from datetime import timedelta

from reconciler.events.event import Alert, Event, Severity, event


@event(
    "alerts.undelivered",
    Severity.ERROR,
    meaning=(
        "A target of [alerts] does not take what it is told. It is tried again with back-off, without end; a case that "
        "no target took counts as untold, survives a restart, and is told of when one does."
    ),
    advice="`reconciler alerts test` tries each target and says why it fails. `reconciler status` counts untold cases.",
    alert=Alert(ends=("alerts.delivered",), subject=("target",)),
)
class AlertsUndelivered(Event):
    """Nobody hears us there."""

    target: str
    """Where it stands in the configuration, and its scheme: `alerts.targets[0] wecombot://…`."""
    why: str


@event(
    "alerts.delivered",
    Severity.NOTICE,
    meaning="A target takes again what it is told.",
    advice="Nothing. What it missed was told to it, in one message where it was much.",
)
class AlertsDelivered(Event):
    """Somebody hears us again."""

    target: str
    after: timedelta


@event(
    "heartbeat.failed",
    Severity.WARNING,
    meaning="The sign of life for alerts.heartbeat_url, one a minute, is not taken there. Orders are looked after.",
    advice="Look at the address and the network to it. Whoever waits for the heartbeat raises an alarm meanwhile.",
)
class HeartbeatFailed(Event):
    """The sign of life is not seen."""

    why: str


@event(
    "heartbeat.restored",
    Severity.NOTICE,
    meaning="The sign of life is taken again by alerts.heartbeat_url.",
    advice="Nothing.",
)
class HeartbeatRestored(Event):
    """Seen again."""

    after: timedelta
