"""What is said of troubles: the line's own fields, what it means, and what to do. No input or output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from reconciler.events import CATALOGUE, Event
from reconciler.ops.alerts.troubles import Told
from reconciler.ops.alerts.words import LIST_BYTES_MAX, Voice, fitted, joined
from reconciler.ops.line import TRACEBACK
from reconciler.ops.value import duration, moment, plain, text_of
from reconciler.ports import Message

WHOLE_MAX: Final = 2
"""So many troubles are told of with all there is to say; of more there is one line each, for as many as fit."""
RUNBOOK: Final = "docs/how-to/runbook.md"


def message_of(items: Sequence[Told], voice: Voice) -> Message:
    """Put some troubles into one message, the worst first."""
    worst = sorted(items, key=lambda item: item.severity)
    if len(worst) <= WHOLE_MAX:
        title = "; ".join(_headline(item) for item in worst)
        body = joined([partial(_whole, item, voice) for item in worst])
    else:
        title = f"{_headline(worst[0])}; and {len(worst) - 1} more"
        body = joined([partial(_listed, worst, voice)])
    return Message(voice.title(title), body, worst[0].severity)


def anchor(name: str) -> str:
    """Give the runbook's section of an event: its heading is the event's name."""
    return f"{RUNBOOK}#{name.replace('.', '')}"


def _headline(item: Told) -> str:
    name, subject = item.key
    over = "over: " if item.over is not None else ""
    times = f", {item.times} times" if item.times > 1 else ""
    return f"{over}{name}{' ' if subject else ''}{subject}{times}"


def _whole(item: Told, voice: Voice, bytes_max: int) -> str:
    name, _ = item.key
    kind = CATALOGUE[name]
    if item.over is not None:
        lines = [f"{_headline(item)}. {_lasted(item)}", f"{item.over.name}: {item.over.meaning}"]
        return fitted([voice.line(line, LIST_BYTES_MAX) for line in lines], (), (), bytes_max)
    first = [voice.line(f"{_headline(item)} ({kind.severity.name.lower()}), since {moment(item.begun_at)}")]
    fields = [voice.line(line, LIST_BYTES_MAX) for line in _fields(item.begun)]
    first += fields[:2]  # what it is about, and why
    more = [*fields[2:], voice.line(kind.meaning, LIST_BYTES_MAX)]
    last = [voice.line(f"What to do: {kind.advice}", LIST_BYTES_MAX), f"Runbook: {anchor(name)}"]
    return fitted(first, more, last, bytes_max)


def _listed(items: Sequence[Told], voice: Voice, bytes_max: int) -> str:
    lines = [voice.line(f"- {_headline(item)}{_why(item)}") for item in items]
    names = dict.fromkeys(item.key[0] for item in items if item.over is None)
    first = [f"{len(items)} troubles, the worst first:"]
    last = [voice.line(f"Runbook: {RUNBOOK}, {', '.join(names)}. Look: reconciler status", LIST_BYTES_MAX)]
    return fitted(first, lines, last, bytes_max)


def _why(item: Told) -> str:
    if item.over is not None:
        return f", {_lasted(item)}"
    why = getattr(item.begun, "why", "") or getattr(item.begun, "what", "")
    return f": {why}" if why else ""


def _lasted(item: Told) -> str:
    until = item.over_at or item.begun_at
    return f"It lasted {duration(max(until - item.begun_at, until - until))}, from {moment(item.begun_at)} on."


def _fields(event: Event | None) -> Iterator[str]:
    for name, value in (event.fields() if event is not None else {}).items():
        if name == TRACEBACK:
            yield "The traceback is in the log."
        else:
            yield f"{name}: {text_of(plain(value))}"
