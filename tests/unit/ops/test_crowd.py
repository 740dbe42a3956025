"""A thousand cases at once: twenty lines, and one that counts the others."""

from __future__ import annotations

import io

import pytest

from reconciler.events import Event
from reconciler.events.orders import CaseEnded, CaseOpened, CaseResolved
from reconciler.ops.log import Log, configure
from reconciler.testing.clock import ManualClock


def opened(number: int, kind: str = "amount_mismatch") -> CaseOpened:
    return CaseOpened(case_id=number, kind=kind, order_no=f"A{number}", channel="alipay-main", why="paid, but")


class Written:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.stream = io.StringIO()
        self.log: Log = configure("console", clock=self.clock, stream=self.stream)

    def say(self, *events: Event) -> None:
        for event in events:
            self.log.emit(event)

    def lines(self, name: str) -> list[str]:
        return [line.split(" ", 2)[2].lstrip() for line in self.stream.getvalue().splitlines() if f" {name} " in line]


@pytest.fixture
def written() -> Written:
    return Written()


async def test_of_a_thousand_at_once_twenty_have_a_line_and_the_others_one(written: Written) -> None:
    written.say(*map(opened, range(1000)))
    assert [line.split("case_id=")[1].split()[0] for line in written.lines("case.opened")] == [
        str(number) for number in range(20)
    ]
    assert written.lines("case.more") == []
    await written.clock.advance(59)
    written.log.tidy()
    assert written.lines("case.more") == []
    await written.clock.advance(1)
    written.log.tidy()
    (more,) = written.lines("case.more")
    assert more == (
        "case.more                line=case.opened kind=amount_mismatch cases=980 within=1m"
        ' see="reconciler cases list --kind amount_mismatch"'
    )
    written.log.tidy()
    assert len(written.lines("case.more")) == 1, "and once"
    written.log.close()


async def test_each_kind_and_each_minute_has_its_own_twenty(written: Written) -> None:
    written.say(*map(opened, range(20)), *(opened(number, "late_payment") for number in range(20)))
    assert len(written.lines("case.opened")) == 40
    await written.clock.advance(60)
    written.say(*map(opened, range(100, 120)))
    assert len(written.lines("case.opened")) == 60
    assert written.lines("case.more") == [], "nothing was left out"
    written.log.close()


def test_what_was_counted_is_said_at_the_end(written: Written) -> None:
    written.say(*map(opened, range(21)))
    written.log.close()
    assert "cases=1 within=0s" in written.lines("case.more")[0]


def test_what_a_person_did_to_a_thousand_is_counted_too_and_found_among_those_that_ended(written: Written) -> None:
    written.say(*(CaseResolved(case_id=n, kind="stalled", order_no="A", final=False, by="li") for n in range(30)))
    written.log.close()
    assert len(written.lines("case.resolved")) == 20
    assert written.lines("case.more")[0].endswith('cases=10 within=0s see="reconciler cases list --kind stalled --all"')


def test_no_other_line_is_ever_left_out(written: Written) -> None:
    written.say(*(CaseEnded(order_no=f"A{number}", ending="settled") for number in range(100)))
    written.log.close()
    assert len(written.lines("case.ended")) == 100
