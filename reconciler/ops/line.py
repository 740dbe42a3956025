"""One line for a person, one for a program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.events import Severity
from reconciler.ops.value import Plain, moment, quoted, text_of, visible

EVENT_WIDTH = 24
SEVERITY_WIDTH = 8
TRACEBACK = "traceback"
"""The one field that has lines of its own: they stand indented below, where they cannot pass for lines of the log."""

_COLOURS = {
    Severity.CRITICAL: "\x1b[1;31m",
    Severity.ERROR: "\x1b[31m",
    Severity.WARNING: "\x1b[33m",
    Severity.NOTICE: "\x1b[32m",
    Severity.DEBUG: "\x1b[2m",
}
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Record:
    """An event on its way to the log: its values are plain and masked."""

    at: datetime
    severity: Severity
    event: str
    message_id: str
    fields: Mapping[str, Plain]


def message(record: Record) -> str:
    """Write event and fields: a console line without time and severity, and journald's MESSAGE."""
    return _tail(record, record.event.ljust(EVENT_WIDTH))


def console(record: Record, *, coloured: bool) -> str:
    """Write a line for a person."""
    severity = record.severity.name.ljust(SEVERITY_WIDTH)
    event = record.event.ljust(EVENT_WIDTH)
    if coloured:
        colour = _COLOURS.get(record.severity, "")
        severity = f"{colour}{severity}{_PLAIN}" if colour else severity
        event = f"{_BOLD}{event}{_PLAIN}"
    return f"{moment(record.at, timespec='milliseconds')} {severity} {_tail(record, event)}"


def json_line(record: Record) -> str:
    """Write one JSON object on one line; a field named like one of the first four gets a `_` behind its name."""
    line: dict[str, Plain] = {
        "at": moment(record.at, timespec="milliseconds"),
        "severity": record.severity.name.lower(),
        "event": record.event,
        "message_id": record.message_id,
    }
    line.update({f"{name}_" if name in line else name: value for name, value in record.fields.items()})
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def _tail(record: Record, event: str) -> str:
    shown = [f"{name}={quoted(text_of(value))}" for name, value in record.fields.items() if name != TRACEBACK]
    line = " ".join([event, *shown]).rstrip()
    below = record.fields.get(TRACEBACK)
    if below is None:
        return line
    return "\n".join([line, *(f"    {visible(row)}" for row in text_of(below).splitlines())])
