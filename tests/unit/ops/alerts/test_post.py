from __future__ import annotations

from reconciler.events import Severity
from reconciler.events.telling import AlertsDelivered, AlertsUndelivered
from reconciler.ops.alerts.post import MISSED_MAX, Route
from reconciler.ports import Message
from tests.unit.ops.alerts.desk import Desk


def message(title: str = "x") -> Message:
    return Message(title, "body", Severity.WARNING)


async def test_a_route_has_heard_it_when_one_of_its_targets_took_it(desk: Desk) -> None:
    desk.other.why = "no"
    post = desk.post(Route("a", (desk.target, desk.other)), Route("b", (desk.other,)))
    assert await post.send({"a": message(), "b": message()}) == {"a"}
    assert len(desk.events.of(AlertsUndelivered)) == 2, "each place of the configuration for itself"


async def test_what_a_target_missed_is_kept_for_it_up_to_a_limit_and_given_in_order(desk: Desk) -> None:
    desk.other.why = "no"
    post = desk.post(Route("a", (desk.target, desk.other)))
    for number in range(MISSED_MAX + 5):
        await post.send({"a": message(str(number))})
    assert desk.other.tries == 1, "it is left alone for a while"
    desk.other.why = None
    await desk.clock.advance(40)
    for _ in range(MISSED_MAX + 5):
        await post.retry()
    assert [each.title for each in desk.other.messages] == [str(number) for number in range(5, MISSED_MAX + 5)]
    assert len(desk.events.of(AlertsDelivered)) == 1


async def test_what_no_target_took_is_not_kept_since_it_is_told_anew(desk: Desk) -> None:
    desk.target.why = "no"
    post = desk.post()
    assert await post.send({"alerts.targets": message()}) == frozenset()
    assert not post.is_open(["alerts.targets"])
    desk.target.why = None
    await desk.clock.advance(40)
    assert post.is_open(["alerts.targets"])
    await post.retry()
    assert desk.target.messages == []
