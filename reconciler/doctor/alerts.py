"""The targets of [alerts]: whether there are any, and whether they can be opened. Nobody is told anything."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler import alerting
from reconciler.doctor.remark import Remark, apart, fault, warning, well
from reconciler.settings.model import Settings

SUBJECT = "alerts"


def look(settings: Settings) -> Iterator[Remark]:
    """Look at each target, and at the heartbeat's address."""
    faults = list(alerting.problems(settings))
    for problem in faults:
        text, remedy = apart(problem.text, "correct it; docs/how-to/be-told.md has examples")
        yield fault(SUBJECT, f"At {problem.path}: {text}", remedy)
    if not settings.alerts.targets and settings.mode == "observe":
        yield well(SUBJECT, "only the log tells of cases; name somebody in alerts.targets before mode enforce")
    elif not settings.alerts.targets:
        remedy = "name a group robot or a mailbox in alerts.targets, then `reconciler alerts test`"
        yield warning(SUBJECT, "nobody is told of cases but by the log", remedy)
    elif not faults:
        names = ", ".join(target.name for target in alerting.targets(settings))
        beat = "" if settings.alerts.heartbeat_url else "; no heartbeat_url, so that nobody notices silence"
        yield well(SUBJECT, f"{names}{beat}; `reconciler alerts test` tries them")
