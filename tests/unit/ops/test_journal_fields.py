"""Events as journald's fields."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest

from reconciler.events import Severity
from reconciler.ops.journald import entry, field_name
from reconciler.ops.line import Record
from reconciler.ops.value import Plain


def record(**fields: Plain) -> Record:
    return Record(datetime(2026, 1, 1, tzinfo=UTC), Severity.WARNING, "case.opened", "ab" * 16, fields)


def test_fields_are_in_capitals_and_the_message_is_one_line() -> None:
    assert entry(record(order_no="A1", case_id=7)) == (
        b"MESSAGE=case.opened              order_no=A1 case_id=7\n"
        b"MESSAGE_ID=abababababababababababababababab\nPRIORITY=4\nSYSLOG_IDENTIFIER=reconciler\nEVENT=case.opened\n"
        b"ORDER_NO=A1\nCASE_ID=7\n"
    )


def test_a_value_with_a_line_break_is_sent_with_its_length() -> None:
    value = b"A1\nPRIORITY=0"

    assert entry(record(order_no=value.decode())).endswith(b"ORDER_NO\n" + struct.pack("<Q", 13) + value + b"\n")


def test_a_lone_surrogate_is_no_obstacle() -> None:
    assert b"ORDER_NO=\\ud800\n" in entry(record(order_no="\ud800"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("order_no", "ORDER_NO"),
        ("message", "EVENT_MESSAGE"),
        ("priority", "EVENT_PRIORITY"),
        ("_hidden", "HIDDEN"),
        ("9lives", "LIVES"),
        ("größe", "GR_SSE"),
        ("___", "FIELD"),
        ("x" * 100, "X" * 64),
    ],
)
def test_no_name_breaks_journalds_rules_or_takes_one_of_ours(name: str, expected: str) -> None:
    assert field_name(name) == expected
