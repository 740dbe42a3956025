"""`reconciler explain`: what it says comes next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.cli.explain import Known, _lines
from reconciler.cli.hindrances import Standing, hindrances
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.order import Attempt, ChannelName, OrderKey
from reconciler.flow.learning import Learned
from reconciler.ports import Ask, Case, CaseId, Entry, Story, StoryEntry, Watch, WatchId

NOW = datetime.now(UTC)
ATTEMPT = Attempt(OrderKey("1"), "A1", ChannelName("alipay-main"), "P1", NOW - timedelta(hours=1))


SINCE = datetime(2026, 11, 23, 2, 14, tzinfo=UTC)
SHOWN = SINCE.astimezone().isoformat(timespec="seconds")
NOBODY = "no daemon answers here: nothing is asked or settled, unless one leads elsewhere"
DAEMON = {"who": "a:1", "leading": True, "troubles": [], "found_at": None}


def standing(**changes: object) -> Standing:
    well = Standing({}, {}, None, None, DAEMON, ("alipay-main",))
    return replace(well, **changes)  # type: ignore[arg-type] # its own fields


def next_line(decision: str, why: str, mode: str) -> str:
    watch = Watch(WatchId(1), ATTEMPT, NOW + timedelta(hours=1), last_decision=decision, why=why)
    return next(line for line in _lines(Known(Story((watch,)), standing(), mode)) if line.startswith("  next"))


@pytest.mark.parametrize(
    ("decision", "why", "said"),
    [
        ("would_settle", "every fact agrees", "every fact agrees (mode observe: nothing is written to the shop)"),
        ("close_order", "closed", "closed (mode observe: nothing is written to the shop)"),
        ("stop", "closed at the gateway", "closed at the gateway (mode observe: no watch ends)"),
        ("ask_again", "not paid yet", "not paid yet"),
        ("late_payment", "paid, and closed in the shop", "paid, and closed in the shop"),
    ],
)
def test_mode_observe_is_named_where_it_changes_what_comes_next(decision: str, why: str, said: str) -> None:
    assert next_line(decision, why, "observe").endswith(f"; {said}")
    assert next_line(decision, why, "enforce").endswith(f"; {why}")


@pytest.mark.parametrize(
    ("changes", "decision", "said"),
    [
        ({}, "ask_again", []),
        (
            {"paused": {"alipay-main": {"since": SINCE.isoformat(), "why": "401 SIGN_ERROR"}}},
            "ask_again",
            [f"the channel has been paused since {SHOWN}: 401 SIGN_ERROR"],
        ),
        (
            {"paused": {"alipay-main": {"since": SINCE.isoformat(), "by": "li", "why": "paused by hand"}}},
            "ask_again",
            [f"the channel has been paused since {SHOWN} by li: paused by hand"],
        ),
        (
            {"settling_paused": {"since": SINCE.isoformat(), "by": "the brake", "why": "1000 orders within the hour"}},
            "would_settle",
            [f"settling has been paused since {SHOWN} by the brake: 1000 orders within the hour"],
        ),
        ({"settling_paused": {"since": SINCE.isoformat(), "by": "li", "why": "by hand"}}, "ask_again", []),
        (
            {"daemon": DAEMON | {"troubles": ["settling waits since 02:14, rows are locked: a backup"]}},
            "settle_waits",
            ["settling waits since 02:14, rows are locked: a backup"],
        ),
        ({"daemon": DAEMON | {"channels": {"alipay-main": ["throttled"]}}}, "ask_again", ["the channel is throttled"]),
        (
            {"daemon": DAEMON | {"leading": False}},
            "ask_again",
            ["the daemon does not lead: another process holds the shop's lock"],
        ),
        (
            {"daemon": None},
            "ask_again",
            [NOBODY],
        ),
        (
            {"daemon": None, "leader": {"who": "db1:7", "since": SINCE.isoformat(), "mode": "enforce"}},
            "ask_again",
            [f"{NOBODY}; the last leader was db1, process 7, from {SHOWN}"],
        ),
        (
            {"channels": ("wechat-main",)},
            "ask_again",
            ["no channel alipay-main is configured any more: it is not asked, until one of that name is"],
        ),
        (
            {"in_doubt": {"alipay-main": SINCE.isoformat()}},
            "ask_again",
            [f"the channel has been in doubt since {SHOWN}: every ask came back NotCreated"],
        ),
    ],
)
def test_why_nothing_happens_is_said(changes: dict[str, object], decision: str, said: list[str]) -> None:
    watch = Watch(WatchId(1), ATTEMPT, NOW + timedelta(hours=1), last_decision=decision)
    assert list(hindrances(watch, standing(**changes))) == said
    shown = [line for line in _lines(Known(Story((watch,)), standing(**changes), "enforce")) if "  but  " in line]
    assert shown == [f"  but       {text}" for text in said]


def test_of_a_watch_that_has_ended_nothing_is_in_the_way() -> None:
    watch = Watch(WatchId(1), ATTEMPT, NOW, ended_at=NOW, why="not paid by its last age")
    assert list(hindrances(watch, standing(daemon=None))) == []
    (line,) = [line for line in _lines(Known(Story((watch,)), standing(), "enforce")) if line.startswith("  next")]
    assert line.endswith("not paid by its last age")


def ages_line(learned: Learned | None, ended_at: datetime | None = None) -> str | None:
    watch = Watch(WatchId(1), ATTEMPT, NOW, ended_at=ended_at)
    lines = _lines(Known(Story((watch,)), standing(), "enforce", learned))
    return next((line for line in lines if line.startswith("  ages")), None)


def test_learned_ages_are_told_with_what_they_were_learned_from() -> None:
    at = datetime(2026, 11, 23, 8, tzinfo=UTC)
    learned = Learned(at, 4.0, 214, (timedelta(seconds=45), timedelta(minutes=2), timedelta(hours=48)))
    assert ages_line(learned) == "  ages      learned from 214 payments, 2026-11-23T08:00:00+00:00: 45s 2m 2d"
    few = ages_line(Learned(at, 4.0, 20, ()))
    assert few == "  ages      as listed by default: from 20 payments, 2026-11-23T08:00:00+00:00: too few to learn from"
    assert ages_line(None) is None
    assert ages_line(learned, ended_at=NOW) is None


# ------------------------------------------------------------------------------------------------------ what happened

MISMATCH = "paid, but not as ordered: amount CNY 0.01 at the gateway, CNY 88.00 in the shop"
CASE = Case(
    CaseId(4),
    CaseKind.AMOUNT_MISMATCH,
    OrderKey("1"),
    "A1",
    ChannelName("alipay-main"),
    "P1",
    MISMATCH,
    (Fact("amount", "CNY 0.01", "CNY 88.00"),),
    NOW,
)


def asked(after_s: int, answer: str = "Paid", decision: str = f"amount_mismatch: {MISMATCH}") -> Ask:
    return Ask(SINCE + timedelta(seconds=after_s), answer, "", 7, decision)


def entry(number: int, kind: str, after_s: int, **body: object) -> StoryEntry:
    moment = SINCE + timedelta(seconds=after_s)
    return StoryEntry(number, moment, Entry(kind, OrderKey("1"), out_trade_no="P1", body=body), "hash")


def story_lines(
    asks: tuple[Ask, ...] = (), entries: tuple[StoryEntry, ...] = (), cases: tuple[Case, ...] = (), **watch: object
) -> list[str]:
    known = Watch(WatchId(1), ATTEMPT, NOW + timedelta(hours=1), asks=asks)
    changed = replace(known, **watch)  # type: ignore[arg-type] # its own fields
    return list(_lines(Known(Story((changed,), entries, cases), standing(), "enforce")))


def moments(lines: list[str]) -> list[str]:
    return [line[29:] for line in lines if line.startswith("  2026-11-23")]


def test_what_was_just_said_is_not_said_again() -> None:
    opened = entry(13, "case_opened", 1, case=4, case_kind="amount_mismatch", why=MISMATCH)
    unpaid = asked(-60, "Unpaid", "ask_again: not paid yet")
    assert moments(story_lines((unpaid, asked(0), asked(60), asked(120)), (opened,))) == [
        "asked     Unpaid in 7 ms: ask_again: not paid yet",
        f"asked     Paid in 7 ms: amount_mismatch: {MISMATCH}",
        "ledger    case_opened (entry 13): case 4, amount_mismatch",
        "asked     Paid in 7 ms: as before",
        "asked     Paid in 7 ms: as before",
    ]


def test_why_is_told_where_the_ask_before_did_not_say_it() -> None:
    ended = entry(14, "watch_ended", 1, why="not paid by its last age")
    assert moments(story_lines((asked(0),), (ended,)))[-1].endswith("(entry 14): not paid by its last age")


def test_entries_of_one_moment_stand_in_the_ledgers_order() -> None:
    entries = (entry(36, "settled", 0, amount_fen=6600), entry(37, "case_ended", 0, case=1, ending="settled by 2026"))
    assert moments(story_lines(entries=entries)) == [
        "ledger    settled (entry 36): CNY 66.00",
        "ledger    case_ended (entry 37): case 1, settled by 2026",
    ]


def test_who_did_it_is_told_with_their_words() -> None:
    resolved = entry(40, "case_resolved", 0, case=4, case_kind="amount_mismatch", by="li", note="refunded by hand")
    assert moments(story_lines(entries=(resolved,))) == [
        "ledger    case_resolved (entry 40): case 4, amount_mismatch, refunded by hand, by li"
    ]
    assert moments(story_lines(entries=(entry(41, "revived", 0),))) == ["ledger    revived (entry 41)"]


def test_where_a_case_is_open_what_comes_next_is_a_person() -> None:
    lines = story_lines(cases=(CASE,), why=MISMATCH)
    (then,) = [line for line in lines if line.startswith("  next")]
    assert then.endswith("; a person must decide: reconciler cases show 4")
    assert "  amount   CNY 0.01  ≠  CNY 88.00" in lines
    (other,) = [line for line in story_lines(cases=(CASE,), why="not paid yet") if line.startswith("  next")]
    assert other.endswith("; not paid yet")


def test_of_a_case_that_has_ended_its_end_is_told_and_not_its_facts() -> None:
    ended = replace(CASE, ended_at=SINCE, ending="settled by 2026")
    assert story_lines(cases=(ended,), why=MISMATCH)[-2:] == [
        f"case 4   amount_mismatch   ended {SHOWN}: settled by 2026",
        "  reconciler cases show 4",
    ]
