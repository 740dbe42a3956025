"""Events of orders that stay where they are for longer than `[processing_limits]` allows."""

from __future__ import annotations

from datetime import timedelta

from reconciler.events.event import Alert, Event, Severity, event


@event(
    "status.stalled",
    Severity.WARNING,
    meaning=(
        "More orders have been in a status for longer than processing_limits allows than become cases one by one: "
        "`cases` of them are, the rest is counted."
    ),
    advice=(
        "Look for the one reason: stock, a queue, a worker that stopped. `reconciler status` has the number; each case "
        "ends by itself when its order moves on."
    ),
    alert=Alert(ends=("status.moving",), subject=("status",), patience=timedelta(0), shared=True),
)
class StatusStalled(Event):
    """A flood."""

    status: str
    orders: int
    cases: int
    limit: timedelta
    longest: timedelta


@event(
    "status.moving",
    Severity.NOTICE,
    meaning="The orders of a status move on again: few are over its limit now.",
    advice="Nothing. What is still over it is an open case.",
)
class StatusMoving(Event):
    """The flood's end."""

    status: str
    orders: int


@event(
    "status.crowded",
    Severity.WARNING,
    meaning=(
        "More orders rest in a status with a limit than are looked at. It is left alone, and counted again in an hour; "
        "no further order of it becomes a case."
    ),
    advice=(
        "Take the status out of processing_limits if it is where orders end: a limit is for a status that orders leave."
    ),
)
class StatusCrowded(Event):
    """A limit that makes no sense, or a very large shop."""

    status: str
    orders: int
    limit: timedelta
