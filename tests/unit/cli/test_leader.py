"""Who carries a command out, while the lead changes hands."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import typer

from reconciler.cli import by_hand, leader
from reconciler.cli.leader import have_done
from reconciler.ops.control_client import CommandFailed, NoDaemon

REQUESTS = ({"case": 1}, {"case": 2}, {"case": 3})
SETTINGS: Any = None
"""Settings that nobody looks at."""


class Doors:
    """The daemon's socket and the shop's lock, as a command finds them, one time after the other."""

    def __init__(self, *said: str) -> None:
        self.said = list(said)
        self.asked: list[tuple[str, int]] = []

    def daemon(
        self, _settings: object, command: str, request: Mapping[str, Any], _within_s: float
    ) -> dict[str, object]:
        """Answer, or not, as it was said."""
        self.asked.append((command, request["case"]))
        match self.said.pop(0):
            case "answers":
                time.sleep(60)
                return {"case": request["case"], "by": "the daemon"}
            case "refuses":
                raise CommandFailed("this daemon does not lead")
            case _:
                raise NoDaemon("no daemon listens on /run/reconciler/control.sock")

    async def by_hand(
        self, _settings: object, _command: str, requests: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        """Take the lock, or not, as it was said."""
        if self.said.pop(0) == "held":
            raise by_hand.LockHeld
        return [{"case": request["case"], "by": "ourselves"} for request in requests]


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that passes where the command sleeps."""
    now = [0.0]
    monkeypatch.setattr("reconciler.cli.leader.time.monotonic", lambda: now[0])
    monkeypatch.setattr("reconciler.cli.leader.time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))


def met(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    monkeypatch.setattr(leader, "ask_the_daemon", doors.daemon)
    monkeypatch.setattr(by_hand, "carry_out", doors.by_hand)
    return [(done["case"], done["by"]) for done in have_done(SETTINGS, "cases", REQUESTS, 1.0)]


@pytest.mark.usefixtures("passing")
def test_the_leader_carries_out_what_nobody_else_may(monkeypatch: pytest.MonkeyPatch) -> None:
    doors = Doors("answers", "answers", "answers")
    assert met(doors, monkeypatch) == [(1, "the daemon"), (2, "the daemon"), (3, "the daemon")]


@pytest.mark.usefixtures("passing")
def test_where_the_daemon_ends_meanwhile_the_rest_is_done_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    doors = Doors("answers", "nobody", "free")
    assert met(doors, monkeypatch) == [(1, "the daemon"), (2, "ourselves"), (3, "ourselves")]


@pytest.mark.usefixtures("passing")
def test_a_daemon_that_has_just_taken_the_lead_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    doors = Doors("nobody", "held", "nobody", "held", "answers", "answers", "nobody", "held", "answers")
    assert met(doors, monkeypatch) == [(1, "the daemon"), (2, "the daemon"), (3, "the daemon")]
    assert doors.asked == [("cases", 1)] * 3 + [("cases", 2)] + [("cases", 3)] * 2


@pytest.mark.usefixtures("passing")
def test_who_holds_the_lock_and_never_answers_is_not_waited_for_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        met(Doors(*["nobody", "held"] * 100), monkeypatch)
    assert ended.value.exit_code == 75
    assert capsys.readouterr().err == (
        "Another process holds the shop's lock, and no daemon listens on /run/reconciler/control.sock.\n"
    )


@pytest.mark.usefixtures("passing")
def test_what_the_daemon_refuses_is_not_tried_by_hand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended:
        met(Doors("refuses"), monkeypatch)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == "The daemon did not do it: this daemon does not lead\n"
