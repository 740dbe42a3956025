"""Troubles and who is told of them, in virtual time: both ends, grouped, paced."""

from __future__ import annotations

from datetime import timedelta

from reconciler.domain.money import Money
from reconciler.events import CATALOGUE, Severity
from reconciler.events.running import ConfigRefused, DaemonFailed, LeadLost, LeadTaken, LeadWaiting, TurnFailed
from reconciler.events.settling import SettleBraked, SettlePaused, SettleResumed
from reconciler.events.telling import AlertsUndelivered
from reconciler.events.trouble import (
    ChannelPaused,
    ChannelResumed,
    ChannelThrottled,
    LedgerIsUnavailable,
    ShopIsAvailable,
    ShopIsUnavailable,
)
from reconciler.ops.alerts.post import Route
from reconciler.ops.alerts.tempo import APART_S, URGENT_APART_S
from reconciler.ops.alerts.troubles import BEGUN_BY, REPEATED_EVERY_S, TROUBLES_MAX, Troubles
from tests.unit.ops.alerts.desk import Desk

MINUTE = timedelta(minutes=1)
AWAY, BACK = ShopIsUnavailable(why="refused"), ShopIsAvailable(after=2 * MINUTE)
FAILED = TurnFailed(what="KeyError: 'x'", order_nos="A1", traceback="Traceback: x\n  y")


def paused(channel: str = "alipay-main") -> ChannelPaused:
    return ChannelPaused(channel=channel, why="401 SIGN_ERROR: swordfish", orders_waiting=12)


def resumed(channel: str = "alipay-main", after: timedelta = 10 * MINUTE) -> ChannelResumed:
    return ChannelResumed(channel=channel, after=after, orders_held_up=12, longest=after)


def braked() -> SettleBraked:
    money = Money(100)
    return SettleBraked(
        settled=3, amount=money, brake_per_hour=3, brake_yuan_per_hour=money, order_no="A4", next_amount=money
    )


async def test_a_trouble_that_lasts_is_told_of_with_its_fields_its_remedy_and_its_section(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        teller.emit(paused())
        await desk.clock.advance(50)
        assert desk.titles == []
        await desk.clock.advance(30)
        assert desk.titles == ["channel.paused alipay-main [shop.db orders on host]"]
        (message,) = desk.target.messages
        assert message.severity is Severity.ERROR
        lines = message.body.splitlines()
        assert lines[0].startswith("channel.paused alipay-main (error), since 2026-01-01T")
        assert lines[1:4] == ["channel: alipay-main", "why: 401 SIGN_ERROR: ***", "orders_waiting: 12"]
        assert CATALOGUE["channel.paused"].meaning in lines
        assert lines[-2:] == [
            f"What to do: {CATALOGUE['channel.paused'].advice}",
            "Runbook: docs/how-to/runbook.md#channelpaused",
        ]
        await desk.clock.advance(2 * APART_S)
        assert len(desk.titles) == 1, "said once"


async def test_both_ends_of_a_trouble_are_told(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        teller.emit(paused())
        await desk.clock.advance(APART_S + 100)
        teller.emit(resumed())
        await desk.clock.advance(APART_S)
        assert desk.titles[1:] == ["over: channel.paused alipay-main [shop.db orders on host]"]
        assert "It lasted 6m40s, from 2026-01-01T" in desk.bodies[1]
        assert desk.target.messages[1].severity is Severity.NOTICE
        teller.emit(paused())
        await desk.clock.advance(2 * APART_S)
        assert desk.titles[2:] == ["channel.paused alipay-main [shop.db orders on host]"], "a new one is new"


async def test_an_outage_of_less_than_a_minute_is_not_told_of(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        for _ in range(5):
            teller.emit(AWAY)
            await desk.clock.advance(50)
            teller.emit(ShopIsAvailable(after=timedelta(seconds=50)))
            await desk.clock.advance(100)
        assert desk.titles == []


async def test_an_outage_that_ended_before_anybody_took_the_news_is_one_message(desk: Desk) -> None:
    desk.target.why = "away"
    async with desk.telling_of_troubles() as teller:
        teller.emit(AWAY)
        await desk.clock.advance(200)
        teller.emit(BACK)
        desk.target.why = None
        await desk.clock.advance(APART_S)
        assert desk.titles == ["over: shop.unavailable [shop.db orders on host]"]
        await desk.clock.advance(2 * APART_S)
        assert len(desk.titles) == 1


async def test_the_end_of_what_began_before_this_process_is_told_where_it_lasted(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        teller.emit(resumed(after=timedelta(seconds=20)))
        await desk.clock.advance(APART_S)
        assert desk.titles == []
        teller.emit(resumed(after=2 * 60 * MINUTE))
        teller.emit(SettleResumed(by="li", after=60 * MINUTE))
        await desk.clock.advance(APART_S)
        assert len(desk.titles) == 1
        assert desk.titles[0].startswith("over: channel.paused alipay-main; over: settle.")


async def test_the_brake_is_told_of_within_seconds_and_does_not_wait_behind_another_message(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        teller.emit(ConfigRefused(config="x.toml", problem="At mode: no"))
        await desk.clock.advance(20)
        assert len(desk.titles) == 1
        await desk.clock.advance(URGENT_APART_S)
        teller.emit(braked())
        await desk.clock.advance(6)
        assert desk.titles[1:] == ["settle.braked [shop.db orders on host]"]
        assert desk.target.messages[1].severity is Severity.CRITICAL
        teller.emit(SettleResumed(by="li", after=MINUTE))
        await desk.clock.advance(2 * APART_S)
        assert desk.titles[2:] == ["over: settle.braked [shop.db orders on host]"]


async def test_one_resume_ends_the_brake_and_the_pause_alike(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        teller.emit(braked())
        teller.emit(SettlePaused(by="the brake", why="x"))
        await desk.clock.advance(APART_S + 100)
        teller.emit(SettleResumed(by="li", after=6 * MINUTE))
        await desk.clock.advance(2 * APART_S)
        assert desk.titles[-1].count("over: ") == 2


async def test_what_happens_again_and_again_is_told_at_once_and_then_once_an_hour_with_its_number(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        for _ in range(20):
            teller.emit(FAILED)
        await desk.clock.advance(20)
        assert desk.titles == ["turn.failed, 20 times [shop.db orders on host]"]
        assert "The traceback is in the log." in desk.bodies[0]
        assert "Traceback" not in desk.bodies[0]
        for _ in range(30):
            teller.emit(FAILED)
            await desk.clock.advance(60)
        assert len(desk.titles) == 1
        await desk.clock.advance(REPEATED_EVERY_S / 2 + 60)
        assert desk.titles[1:] == ["turn.failed, 30 times [shop.db orders on host]"]


async def test_many_troubles_at_once_are_one_message_the_worst_first(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        for number in range(50):
            teller.emit(paused(f"channel-{number}"))
        teller.emit(LedgerIsUnavailable(why="disk full"))
        await desk.clock.advance(90)
        assert desk.titles == ["ledger.unavailable; and 50 more [shop.db orders on host]"]
        assert desk.bodies[0].splitlines()[0:2] == [
            "51 troubles, the worst first:",
            "- ledger.unavailable: disk full",
        ]
        assert desk.bodies[0].endswith("ledger.unavailable, channel.paused. Look: reconciler status")
        assert len((desk.titles[0] + desk.bodies[0]).encode()) < 2000


async def test_while_it_keeps_raining_there_is_one_message_in_some_minutes(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        for number in range(60):
            teller.emit(paused(f"channel-{number}"))
            await desk.clock.advance(30)
        assert 3 <= len(desk.titles) <= 60 * 30 / APART_S + 1
        await desk.clock.advance(2 * APART_S)
        assert "; and " in desk.titles[-1]


async def test_a_route_is_told_from_its_severity_on_and_of_the_events_that_it_names(desk: Desk) -> None:
    main = Route("alerts.targets", (desk.target,), Severity.ERROR)
    also = Route("alerts.also", (desk.other,), None, frozenset(), frozenset({"channel.unconfigured"}))
    async with desk.telling_of_troubles(main, also) as teller:
        teller.emit(CATALOGUE["channel.unconfigured"](shop_value="7", orders=3, why="x"))  # type: ignore[call-arg] # its own fields
        teller.emit(paused())
        await desk.clock.advance(90)
        assert [title.partition(" [")[0] for title in desk.titles] == ["channel.paused alipay-main"]
        assert [message.title.partition(" [")[0] for message in desk.other.messages] == ["channel.unconfigured"]


async def test_a_standby_leaves_what_is_everybodys_to_the_leader_and_tells_of_its_own(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        teller.emit(LeadWaiting(why="another"))
        teller.emit(AWAY)
        teller.emit(DaemonFailed(what="KeyError", traceback="x"))
        await desk.clock.advance(APART_S)
        assert [title.partition(" [")[0] for title in desk.titles] == ["daemon.failed"]
        teller.emit(LeadTaken(epoch=2))
        teller.emit(AWAY)
        await desk.clock.advance(APART_S)
        assert desk.titles[1:] == ["shop.unavailable [shop.db orders on host]"]


async def test_a_lead_that_is_taken_again_at_once_is_no_news(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        teller.emit(LeadLost(why="connection"))
        await desk.clock.advance(10)
        teller.emit(LeadTaken(epoch=2))
        await desk.clock.advance(APART_S)
        assert desk.titles == []
        teller.emit(LeadLost(why="connection"))
        await desk.clock.advance(100)
        assert desk.titles == ["lead.lost [shop.db orders on host]"]


async def test_what_heals_by_itself_is_for_the_log(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        teller.emit(ChannelThrottled(channel="alipay-main", orders_waiting=1))
        await desk.clock.advance(2 * APART_S)
        assert desk.titles == []


async def test_a_target_that_fails_is_told_of_to_the_others(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        teller.emit(AlertsUndelivered(target=desk.other.name, why="it answered 500"))
        await desk.clock.advance(90)
        assert desk.titles == [f"alerts.undelivered {desk.other.name} [shop.db orders on host]"]


async def test_a_process_that_ends_tells_what_it_would_have_waited_with(desk: Desk) -> None:
    async with desk.telling_of_troubles() as teller:
        teller.emit(AWAY)
        teller.emit(DaemonFailed(what="KeyError", traceback="x"))
        await teller.turn(at_once=True)
        assert desk.titles == ["daemon.failed; shop.unavailable [shop.db orders on host]"]


def test_no_more_troubles_are_kept_than_the_limit(desk: Desk) -> None:
    troubles = Troubles()
    for number in range(TROUBLES_MAX + 5):
        troubles.note(paused(str(number)), desk.clock.now(), 0)
    assert len(troubles.due(100)) == TROUBLES_MAX


def test_each_event_that_ends_a_trouble_is_in_the_catalogue_and_knows_what_it_is_about() -> None:
    assert set(BEGUN_BY) <= set(CATALOGUE)
    for end, begins in BEGUN_BY.items():
        for begin in begins:
            alert = CATALOGUE[begin].alert
            assert alert is not None
            for field in alert.subject:
                assert field in CATALOGUE[begin].__annotations__
                assert field in CATALOGUE[end].__annotations__
