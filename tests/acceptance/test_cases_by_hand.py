"""What a person does with cases, by the real commands: through the daemon, and without one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.world import CLOSED, PAID, PENDING, Process, World, moved_once

pytestmark = pytest.mark.acceptance

REVIEW = '[settle]\nreview_over = "50.00"\n'


async def cases_of(world: World, config: Path, *words: str) -> list[dict[str, Any]]:
    """List the open cases."""
    found: list[dict[str, Any]] = await world.json(config, "cases", "list", *words)
    return found


async def leading(world: World, config: Path, cases: int) -> tuple[Process, dict[str, str]]:
    """Start a daemon and wait for its cases; give their numbers by order."""
    daemon = await world.start(config)
    opened = await daemon.until("case.opened", cases)
    return daemon, {event["order_no"]: str(event["case_id"]) for event in opened}


def paid(world: World, *order_nos: str) -> None:
    for order_no in order_nos:
        world.order(order_no)
        world.pay(order_no)


async def test_a_person_approves_cases_through_the_running_daemon(world: World) -> None:
    paid(world, "A1", "A2", "A3")
    world.order("L1", status=CLOSED)
    world.pay("L1")
    config = world.configuration(extra=REVIEW)
    daemon, number = await leading(world, config, 4)

    code, told = await world.command(config, "cases", "approve", number["A1"])
    assert code == 0, told
    assert "theirs" in told
    assert f"case {number['A1']}   needs_review   order A1   ended: settled by" in told
    assert world.moves() == [("A1", PENDING, PAID)]
    code, told = await world.command(config, "cases", "approve", number["A1"])
    assert code == 1
    assert "has ended already: settled by" in told

    code, _ = await world.command(config, "cases", "approve", number["L1"])
    assert code == 1, "it is over the limit, too, and that was not shown"
    (review,) = [
        str(case["id"])
        for case in await cases_of(world, config)
        if (case["order_no"], case["kind"]) == ("L1", "needs_review")
    ]
    code, told = await world.command(config, "cases", "approve", review)
    assert code == 0, told
    assert world.moves()[-1] == ("L1", CLOSED, PAID)

    words = ("cases", "approve", "--kind", "needs_review")
    code, told = await world.command(config, *words)
    assert (code, len(world.moves())) == (1, 2)
    assert "Nothing was done: this would approve these 2. --yes does it." in told
    code, told = await world.command(config, *words, "--yes", "--json")
    assert code == 0
    answers = json.loads(told)
    assert [(answer["order_no"], answer["done"]) for answer in answers] == [("A2", True), ("A3", True)]
    assert answers[0]["finding"]["answer"] == "Paid"

    assert {event["order_no"] for event in daemon.events("case.approved")} == {"A1", "A2", "A3", "L1"}
    assert all("uid" in event["by"] for event in daemon.events("case.approved"))
    assert await daemon.stop() == 0
    assert moved_once(world.moves())
    code, told = await world.command(config, "ledger", "verify")
    assert (code, told.splitlines()[-1]) == (0, "sound")


async def test_a_person_resolves_snoozes_and_reopens_through_the_running_daemon(world: World) -> None:
    paid(world, "A1", "A2")
    world.order("M1")
    world.pay("M1", fen=1)
    config = world.configuration(extra=REVIEW)
    daemon, number = await leading(world, config, 3)

    code, told = await world.command(config, "cases", "approve", number["M1"])
    assert code == 1
    assert "amount_mismatch cannot be approved" in told
    assert f"cases resolve {number['M1']} --note" in told

    code, told = await world.command(config, "cases", "resolve", number["M1"], "--note", "refunded", "--final")
    assert code == 0, told
    (ended,) = [case for case in await cases_of(world, config, "--all") if case["order_no"] == "M1"]
    assert ended["final"]
    assert "refunded" in ended["ending"]
    assert "uid" in ended["ending"]
    code, told = await world.command(config, "cases", "show", number["M1"])
    assert "case_resolved by" in told
    assert "; for good" in told

    code, told = await world.command(config, "cases", "snooze", number["A1"], "--for", "4h")
    assert code == 0, told
    assert await daemon.stop() == 0
    daemon = await world.start(config)
    await daemon.until("lead.taken")
    _, told = await world.command(config, "cases")
    assert "[open, put off until" in told, "and it is so after a restart"

    code, told = await world.command(config, "cases", "resolve", "--kind", "needs_review", "--note", "seen", "--yes")
    assert code == 0, told
    assert await cases_of(world, config) == []
    code, told = await world.command(config, "cases", "reopen", number["M1"])
    assert code == 0, told
    assert [case["order_no"] for case in await cases_of(world, config)] == ["M1"]
    assert len(daemon.events("case.resolved")) == 2
    assert await daemon.stop() == 0
    assert world.moves() == []


async def test_without_a_daemon_the_command_takes_the_lock_itself(world: World) -> None:
    paid(world, "A1", "A2")
    config = world.configuration(extra=REVIEW)
    await world.once(config)
    code, told = await world.command(config, "cases", "approve", "--kind", "needs_review", "--yes")
    assert code == 0, told
    assert sorted(order_no for order_no, _, _ in world.moves()) == ["A1", "A2"]
    assert await cases_of(world, config) == []
    entries = (await world.json(config, "explain", "A1"))["entries"]
    (approved,) = [entry for entry in entries if entry["kind"] == "case_approved"]
    assert "uid" in approved["body"]["by"]

    daemon = await world.start(world.configuration("b", extra=REVIEW))
    await daemon.until("lead.taken")
    code, told = await world.command(config, "cases", "reopen", "1")
    assert code == 75, "another holds the lock, and does not answer on this socket"
    assert told == f"Another process holds the shop's lock, and no daemon listens on {world.directory}/a.sock.\n"


async def test_observing_a_case_is_not_approved_but_may_be_resolved(world: World) -> None:
    paid(world, "A1")
    config = world.configuration(extra=REVIEW, mode="observe")
    daemon, _ = await leading(world, config, 1)
    code, told = await world.command(config, "cases", "approve", "1")
    assert code == 1
    assert "in mode observe nothing is settled" in told
    code, told = await world.command(config, "cases", "resolve", "1", "--note", "seen")
    assert code == 0, told
    assert await daemon.stop() == 0
    assert world.moves() == []


async def test_an_approval_asks_again_and_heeds_what_was_refunded_meanwhile(world: World) -> None:
    world.order("A1")
    trade = world.pay("A1", ago=timedelta(minutes=5))
    config = world.configuration(extra=REVIEW)
    daemon, _ = await leading(world, config, 1)
    world.book.put(replace(trade, refunded_at=datetime.now(UTC)))
    code, told = await world.command(config, "cases", "approve", "1")
    assert code == 1
    assert "refunded" in told
    assert world.moves() == []
    assert await daemon.stop() == 0


NONSENSE: Sequence[tuple[tuple[str, ...], str]] = (
    (("approve",), "Give the number of one case, or --kind"),
    (("approve", "1", "--kind", "needs_review"), "Give the number of one case, or --kind"),
    (("approve", "99"), "There is no case 99"),
    (("reopen", "99"), "There is no case 99"),
    (("resolve", "1", "--note", " "), "a few words"),
    (("snooze", "1", "--for", "soon"), "is not a duration"),
    (("snooze", "1", "--for", "91d"), "90d at most"),
    (("snooze", "1", "--for", "0s"), "90d at most"),
    (("resolve", "--kind", "stalled", "--note", "x"), "There is no open case stalled"),
    (("approve", "--kind", "nonsense"), "nonsense"),
)


async def test_what_makes_no_sense_is_said_and_changes_nothing(world: World) -> None:
    config = world.configuration()
    await world.once(config)
    for words, said in NONSENSE:
        code, told = await world.command(config, "cases", *words)
        assert code in {1, 2}, words
        assert said in told, words
        assert "Traceback" not in told, words
