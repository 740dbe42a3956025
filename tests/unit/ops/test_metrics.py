"""The figures for Prometheus."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, fields, replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from reconciler.domain.answer import Answer, Merchant, NotCreated, Reply, Unavailable
from reconciler.domain.case import CaseKind
from reconciler.domain.closing import CloseReply, TradeClosed
from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName
from reconciler.domain.standing import Standing
from reconciler.events import CATALOGUE, Severity
from reconciler.events.orders import OrderCallbackWon, OrderSettled, OrderWouldSettle, SettleRecovered
from reconciler.ops.measured import MeasuredGateway
from reconciler.ops.metrics import LOOPS, Braking, Metrics
from reconciler.ports import OpenCases, WatchCounts
from reconciler.testing.small_conformance import example_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CHANNEL = ChannelName("alipay-main")
SETTLED = OrderSettled(
    order_no="A1",
    channel=CHANNEL,
    amount=Money(1),
    transaction_id="T",
    paid_at=NOW,
    stuck_for=timedelta(1),
    by="update",
)


def fresh() -> Metrics:
    return Metrics(version="1", mode="observe", channels=[CHANNEL])


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def series(metrics: Metrics) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
    families = metrics.registry.collect()
    return {(sample.name, tuple(sorted(sample.labels.items()))) for family in families for sample in family.samples}


def everything_happens(metrics: Metrics) -> None:
    """Give the figures each answer, event, case and trouble that there is."""
    for kind in CATALOGUE.values():
        event = example_of(kind)
        metrics.emit(replace(event, channel=CHANNEL) if hasattr(event, "channel") else event)  # type: ignore[type-var] # every event is a dataclass
    for answer in get_args(Answer):
        given = {field.name: "A1" for field in fields(answer) if field.default is MISSING}
        metrics.channels.asked(CHANNEL, answer(**given), 0.1)
    metrics.channels.stands(CHANNEL, set(Standing), NOW)
    metrics.orders.paid_by_shop(CHANNEL, 1)
    metrics.ledger.cases({kind: OpenCases(1, NOW) for kind in CaseKind})
    metrics.ledger.watches(WatchCounts(1, 1, 1, NOW))
    metrics.ledger.entries(1)
    metrics.ledger.sized(1, 1)
    metrics.settling.paused(["hand", "brake", "locked"])
    metrics.settling.brake(Braking(1, 1, 1, 1))
    metrics.daemon.started(NOW)
    metrics.daemon.stands(leads=True, ready=True)
    metrics.daemon.unavailable(["shop", "replica", "ledger", "webhook"])
    for loop in LOOPS:
        metrics.daemon.succeeded(loop, NOW)


def paused(metrics: Metrics) -> list[float | None]:
    return [value(metrics, "reconciler_settling_paused", reason=why) for why in ("hand", "brake", "locked")]


def test_every_series_is_there_from_the_start() -> None:
    """Whatever may happen later adds a value to a series, and never a series."""
    metrics = fresh()
    before = series(metrics)

    everything_happens(metrics)

    assert series(metrics) == before
    assert value(metrics, "reconciler_asks_total", channel=CHANNEL, answer="Untrusted") == 1
    assert value(metrics, "reconciler_events_total", event="daemon.failed", severity="critical") == 1


def test_what_is_not_known_yet_is_no_number() -> None:
    metrics = fresh()
    assert value(metrics, "reconciler_leader") == 0
    assert value(metrics, "reconciler_last_success_timestamp_seconds", loop="find") == 0
    assert math.isnan(value(metrics, "reconciler_ledger_bytes") or 0)
    metrics.ledger.sized(4096, None)
    assert value(metrics, "reconciler_ledger_bytes") == 4096
    assert math.isnan(value(metrics, "reconciler_ledger_disk_free_bytes") or 0)


def test_labels_are_of_closed_sets_alone() -> None:
    metrics = fresh()
    everything_happens(metrics)
    closed = {
        "channel": {CHANNEL},
        "answer": {answer.__name__ for answer in get_args(Answer)},
        "kind": {kind.value for kind in CaseKind},
        "event": set(CATALOGUE),
        "severity": {severity.name.lower() for severity in Severity},
        "loop": {"find", "walk", "ask", "audit", "prune"},
        "part": {"shop", "replica", "ledger", "webhook"},
        "reason": {"hand", "brake", "locked"},
        "version": {"1"},
        "mode": {"observe"},
    }
    states = {standing.value for standing in Standing}, {"open", "due", "ended"}
    for family in metrics.registry.collect():
        for sample in family.samples:
            for label, found in sample.labels.items():
                allowed = states["channel" not in sample.labels] if label == "state" else closed.get(label)
                assert label == "le" or (allowed and found in allowed), sample


def test_why_settling_stands_still_is_one_series_a_reason() -> None:
    metrics = fresh()
    metrics.settling.paused(["brake", "locked"])
    assert [value(metrics, "reconciler_settling_paused", reason=why) for why in ("hand", "brake", "locked")] == [
        0,
        1,
        1,
    ]
    metrics.settling.paused(["hand"])
    assert [value(metrics, "reconciler_settling_paused", reason=why) for why in ("hand", "brake", "locked")] == [
        1,
        0,
        0,
    ]


def test_a_reload_leaves_one_mode() -> None:
    metrics = fresh()

    metrics.configured("1", "enforce", [CHANNEL])

    assert value(metrics, "reconciler_info", version="1", mode="observe") is None
    assert value(metrics, "reconciler_info", version="1", mode="enforce") == 1


def test_what_rounds_and_ledger_say_is_taken() -> None:
    metrics = fresh()

    metrics.daemon.started(NOW)
    metrics.daemon.stands(leads=True, ready=False)
    metrics.daemon.unavailable(["shop"])
    metrics.daemon.succeeded("find", NOW)
    metrics.ledger.watches(WatchCounts(open=5, due=2, ended=9, oldest_due_at=NOW))
    metrics.ledger.cases({CaseKind.STALLED: OpenCases(3, NOW)})
    metrics.ledger.cases({CaseKind.UNASKABLE: OpenCases(1, NOW)})
    metrics.ledger.entries(17)
    metrics.settling.brake(Braking(3, 100, 9900, 1_000_000))

    assert value(metrics, "reconciler_start_timestamp_seconds") == NOW.timestamp()
    assert (value(metrics, "reconciler_leader"), value(metrics, "reconciler_ready")) == (1, 0)
    assert value(metrics, "reconciler_unavailable", part="shop") == 1
    assert value(metrics, "reconciler_unavailable", part="ledger") == 0
    assert value(metrics, "reconciler_last_success_timestamp_seconds", loop="find") == NOW.timestamp()
    assert value(metrics, "reconciler_watches", state="ended") == 9
    assert value(metrics, "reconciler_oldest_due_timestamp_seconds") == NOW.timestamp()
    assert value(metrics, "reconciler_cases_open", kind="stalled") == 0
    assert value(metrics, "reconciler_cases_oldest_timestamp_seconds", kind="stalled") == 0
    assert value(metrics, "reconciler_cases_open", kind="unaskable") == 1
    assert value(metrics, "reconciler_cases_oldest_timestamp_seconds", kind="unaskable") == NOW.timestamp()
    assert value(metrics, "reconciler_ledger_entries") == 17
    assert value(metrics, "reconciler_brake_settled_orders") == 3
    assert value(metrics, "reconciler_brake_limit_fen") == 1_000_000

    metrics.ledger.watches(WatchCounts(open=0, due=0, ended=9, oldest_due_at=None))
    assert value(metrics, "reconciler_oldest_due_timestamp_seconds") == 0


def test_what_is_the_matter_with_a_channel_is_one_series_each_and_ends_with_the_channel() -> None:
    metrics = fresh()

    metrics.channels.asked(CHANNEL, NotCreated(), 0.25)
    metrics.channels.stands(CHANNEL, {Standing.CLOCK, Standing.THROTTLED}, NOW)

    name = "reconciler_channel_state"
    states = {standing.value: value(metrics, name, channel=CHANNEL, state=standing.value) for standing in Standing}
    assert {state for state, is_so in states.items() if is_so} == {"paused_clock", "throttled"}
    assert value(metrics, "reconciler_channel_oldest_due_timestamp_seconds", channel=CHANNEL) == NOW.timestamp()
    assert value(metrics, "reconciler_asks_total", channel=CHANNEL, answer="NotCreated") == 1
    assert value(metrics, "reconciler_ask_duration_seconds_sum", channel=CHANNEL) == 0.25

    other = ChannelName("wechat-main")
    metrics.configured("1", "observe", [other])
    assert value(metrics, name, channel=CHANNEL, state="paused_clock") is None, "nobody could ever unpause it"
    assert value(metrics, name, channel=other, state="paused_clock") == 0
    assert value(metrics, "reconciler_asks_total", channel=CHANNEL, answer="NotCreated") == 1, "a counter stays"


def test_events_are_counted_with_what_they_say_was_done() -> None:
    metrics = fresh()

    metrics.emit(replace(SETTLED, stuck_for=timedelta(minutes=4)))
    metrics.emit(replace(SETTLED, stuck_for=timedelta(hours=2)))
    metrics.emit(OrderCallbackWon(order_no="A2", channel=CHANNEL, transaction_id="T2", why="w"))
    metrics.orders.paid_by_shop(CHANNEL, 7)

    assert value(metrics, "reconciler_settled_total", channel=CHANNEL) == 2
    assert value(metrics, "reconciler_callback_won_total", channel=CHANNEL) == 1
    assert value(metrics, "reconciler_paid_by_shop_total", channel=CHANNEL) == 7
    assert value(metrics, "reconciler_events_total", event="order.settled", severity="notice") == 2
    stuck = "reconciler_stuck_duration_seconds"
    assert value(metrics, f"{stuck}_sum", channel=CHANNEL) == 4 * 60 + 2 * 3600
    assert [value(metrics, f"{stuck}_bucket", channel=CHANNEL, le=le) for le in ("120.0", "300.0", "10800.0")] == [
        0,
        1,
        2,
    ]


def test_an_order_that_was_moved_right_before_a_crash_counts_as_moved_by_us() -> None:
    metrics = fresh()
    for outcome in ("settled: found moved at start", "superseded: found open in mode observe", "settledish"):
        metrics.emit(SettleRecovered(order_no="A1", channel=CHANNEL, transaction_id="T", outcome=outcome))
    assert value(metrics, "reconciler_settled_total", channel=CHANNEL) == 1


def test_what_observing_would_have_moved_is_counted_apart() -> None:
    metrics = fresh()
    metrics.emit(
        OrderWouldSettle(
            order_no="A1",
            channel=CHANNEL,
            amount=Money(1),
            transaction_id="T",
            paid_at=NOW,
            stuck_for=timedelta(1),
        )
    )
    assert value(metrics, "reconciler_would_settle_total", channel=CHANNEL) == 1
    assert value(metrics, "reconciler_settled_total", channel=CHANNEL) == 0


@pytest.mark.parametrize(
    ("accept", "content_type", "parse"),
    [
        ("", "text/plain", text_string_to_metric_families),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text", openmetrics),
    ],
)
def test_what_is_written_out_parses_as_what_the_scraper_asked_for_and_names_no_order(
    accept: str, content_type: str, parse: Callable[[str], Iterable[Metric]]
) -> None:
    metrics = fresh()
    everything_happens(metrics)

    body, said = metrics.exposition(accept)
    families = {family.name: family for family in parse(body.decode())}

    assert said.startswith(content_type)
    assert set(families) >= {"reconciler_settled", "reconciler_stuck_duration_seconds", "process_open_fds"}
    assert families["reconciler_leader"].type == "gauge"
    assert "A1" not in body.decode()
    assert "_created" not in body.decode()


class TwoAnswers:
    channel = CHANNEL
    kind = "alipay"
    merchant: Merchant = (("mchid", "1"),)
    closed = False

    async def ask(self, out_trade_nos: Sequence[str]) -> Sequence[Reply]:
        answers: list[Answer] = [NotCreated(), Unavailable("502")]
        reply = Reply(answers[0], verified=False, asked_at=NOW, answered_at=NOW + timedelta(seconds=0.5))
        return [replace(reply, answer=answer) for answer, _ in zip(answers, out_trade_nos, strict=True)]

    async def close_trade(self, out_trade_no: str) -> CloseReply:
        assert out_trade_no == "A1"
        return TradeClosed()

    async def close(self) -> None:
        self.closed = True


async def test_a_measured_gateway_answers_as_the_one_behind_it_and_counts() -> None:
    metrics, behind = fresh(), TwoAnswers()
    gateway = MeasuredGateway(behind, metrics)

    replies = await gateway.ask(["A1", "A2"])
    assert await gateway.close_trade("A1") == TradeClosed()
    await gateway.close()

    assert [reply.answer for reply in replies] == [NotCreated(), Unavailable("502")]
    assert (gateway.channel, gateway.kind, gateway.merchant) == (behind.channel, behind.kind, behind.merchant)
    assert behind.closed
    assert value(metrics, "reconciler_asks_total", channel=CHANNEL, answer="Unavailable") == 1
    assert value(metrics, "reconciler_ask_duration_seconds_sum", channel=CHANNEL) == 1


def test_each_status_with_a_limit_has_its_series_and_no_other() -> None:
    metrics = fresh()
    metrics.orders.stalled({"2": 0, "3": 41})
    assert [value(metrics, "reconciler_stalled_orders", status=status) for status in ("2", "3")] == [0, 41]
    metrics.orders.stalled({"2": 1})
    assert [value(metrics, "reconciler_stalled_orders", status=status) for status in ("2", "3")] == [1, None]
