"""Events of the daemon itself: start, end, configuration, lead, and its figures."""

from __future__ import annotations

from datetime import timedelta

from reconciler.events.event import Alert, Event, Severity, event


@event(
    "daemon.started",
    Severity.NOTICE,
    meaning="The daemon has read its configuration, opened shop and ledger, and begins.",
    advice="Nothing. In mode observe it moves no order: read a day of order.would_settle before switching to enforce.",
)
class DaemonStarted(Event):
    """Begin."""

    version: str
    mode: str
    shop: str
    ledger: str
    channels: str
    config: str


@event(
    "daemon.stopped",
    Severity.NOTICE,
    meaning="The daemon has ended as it was told to. What was in flight is finished, or an open intention.",
    advice="Nothing.",
)
class DaemonStopped(Event):
    """End."""

    why: str
    uptime: timedelta


@event(
    "daemon.failed",
    Severity.CRITICAL,
    meaning="Something happened that should not: a fault in the program. The daemon ends; no order is moved by it.",
    advice="systemd starts it again. Report the traceback; `reconciler status` says what is open.",
    alert=Alert(),
)
class DaemonFailed(Event):
    """A fault of ours."""

    what: str
    traceback: str


@event(
    "ages.learned",
    Severity.NOTICE,
    meaning='With ask.ages = "learned", orders are asked about at other ages than before: those that let the last '
    "week's payments wait least, for ask.per_order asks an order.",
    advice="Nothing. To keep ages as they are, copy them into ask.ages.",
)
class AgesLearned(Event):
    """When orders are asked about from now on."""

    ages: str
    payments: int
    """How many of known delay they were learned from."""
    why: str


@event(
    "turn.failed",
    Severity.ERROR,
    meaning="One turn of the work met a fault of the program. It was given up; its orders are asked again later.",
    advice="Report the traceback. Other orders go on; `reconciler explain ORDER` shows what became of the ones named.",
    alert=Alert(),
)
class TurnFailed(Event):
    """A fault that one turn met."""

    what: str
    order_nos: str
    traceback: str


@event(
    "config.reloaded",
    Severity.NOTICE,
    meaning="A changed configuration was read, found sound, and is in force. No watch was lost.",
    advice="Nothing. A changed credential needs a restart.",
)
class ConfigReloaded(Event):
    """SIGHUP, taken."""

    config: str
    mode: str


@event(
    "config.refused",
    Severity.ERROR,
    meaning="The changed configuration has a fault; the daemon goes on with the one it had.",
    advice="Correct it, try `reconciler config check`, then reload again.",
    alert=Alert(),
)
class ConfigRefused(Event):
    """SIGHUP, not taken."""

    config: str
    problem: str


@event(
    "alerts.none",
    Severity.WARNING,
    meaning="In enforce mode, and nobody would be told of a case but by this log.",
    advice="Name targets in alerts.targets, then `reconciler alerts test`. Until then watch the log for case.opened.",
)
class AlertsNone(Event):
    """Nobody is told."""

    mode: str
    why: str


@event(
    "lead.taken",
    Severity.NOTICE,
    meaning="This daemon holds the shop's lock and the ledger's pen: it is the leader.",
    advice="Nothing.",
)
class LeadTaken(Event):
    """Leader."""

    epoch: int
    waited: timedelta | None = None


@event(
    "lead.waiting",
    Severity.NOTICE,
    meaning="Another daemon holds the shop's lock. This one is a standby and takes over when that one ends.",
    advice="Nothing, if you run two. Otherwise find the other: `reconciler status` names it.",
)
class LeadWaiting(Event):
    """Standby."""

    why: str


@event(
    "lead.lost",
    Severity.ERROR,
    meaning="The shop's lock, or the connection that held it, is gone. Nothing more is settled until it is ours again.",
    advice="Look at the shop's database. The daemon tries again by itself.",
    alert=Alert(ends=("lead.taken", "lead.waiting")),
)
class LeadLost(Event):
    """No longer the leader."""

    why: str


@event(
    "lead.overtaken",
    Severity.CRITICAL,
    meaning="Another daemon has written the ledger since this one did. This one writes nothing more and ends.",
    advice="Make sure that one ledger serves one shop. If this process had been paused, nothing is wrong.",
    alert=Alert(),
)
class LeadOvertaken(Event):
    """The pen is broken."""

    why: str


@event(
    "summary",
    Severity.INFO,
    meaning="What was done since the last summary, and what is open.",
    advice="Nothing. A growing `overdue` means that the channels' rate is too low for the shop.",
)
class Summary(Event):
    """The figures."""

    found: int
    asked: int
    settled: int
    would_settle: int
    callback_won: int
    closed: int
    closed_at_gateway: int
    cases_opened: int
    unanswered: int
    watching: int
    overdue: int
    cases_open: int
    stalled: int | None = None
    """Orders over the limit of their status; nothing where there are no processing_limits."""
    period: timedelta
