"""`reconciler status`: what it says to whoever was woken by it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.cli.status import Known, _lines
from reconciler.flow.brake import THE_BRAKE
from reconciler.ledger.size import LedgerSize
from reconciler.ports import OpenCases, WatchCounts

SINCE = datetime(2026, 11, 23, 2, 14, tzinfo=UTC)
WELL = Known(
    daemon={"who": "db1:1408", "mode": "enforce", "leading": True, "found_at": None, "asked_at": None, "troubles": []},
    leader={"who": "db1:1408", "since": SINCE.isoformat(), "mode": "enforce"},
    watches=WatchCounts(1, 0, 0, None),
    cases={},
    settled=0,
    open_intentions=0,
    settling_paused=None,
    paused={},
    in_doubt={},
    limits={},
    walked_at=None,
    head=(1, "hash"),
    size=LedgerSize(None, None),
)


def told(**changes: object) -> str:
    return "\n".join(_lines(replace(WELL, **changes)))  # type: ignore[arg-type] # its own fields


def test_a_process_is_not_taken_for_a_port() -> None:
    assert "leader    db1, process 1408, mode enforce, answering" in told()


def test_where_no_leader_answers_it_says_where_to_look() -> None:
    lines = told(daemon=None)
    assert "none answers; the last was db1, process 1408, mode enforce, from" in lines
    assert "journalctl -u reconciler" in lines
    assert "journalctl" not in told(daemon=None, leader=None)


@pytest.mark.parametrize(
    ("untold", "has_targets", "said"),
    [
        (0, True, "cases     3 open"),
        (0, False, "cases     3 open"),
        (2, True, "cases     3 open, 2 of them UNTOLD: no target has taken the news; try `reconciler alerts test`"),
        (3, False, "cases     3 open; nobody is told of them: [alerts] names no target"),
    ],
)
def test_cases_that_nobody_was_told_of_are_named_with_the_reason(untold: int, has_targets: bool, said: str) -> None:
    lines = told(cases={"stalled": OpenCases(3, SINCE)}, untold=untold, has_targets=has_targets).splitlines()
    assert said in lines


def test_a_channel_that_a_person_paused_is_told_with_who_and_with_what_ends_it() -> None:
    paused = {"wechat-main": {"since": SINCE.isoformat(), "by": "li", "why": "paused by hand"}}
    lines = told(paused=paused)
    assert " ago) by li: paused by hand" in lines
    assert "`reconciler resume --channel wechat-main` ends it" in lines


def test_a_channel_that_paused_itself_needs_no_command() -> None:
    paused = {"wechat-main": {"since": SINCE.isoformat(), "why": "401 SIGN_ERROR", "for": "misconfigured"}}
    lines = told(paused=paused)
    assert " ago): 401 SIGN_ERROR" in lines
    assert "goes on by itself" in lines
    assert "resume" not in lines


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("li", "          `reconciler resume --settling` ends it"),
        (
            THE_BRAKE,
            "          compare some of what was settled with shop and gateway; if it is right, `reconciler resume",
        ),
    ],
)
def test_settling_that_stands_still_is_told_with_what_ends_it(by: str, said: str) -> None:
    assert said in told(settling_paused={"since": SINCE.isoformat(), "by": by, "why": "x"})
