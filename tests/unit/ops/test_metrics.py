"""The figures for Prometheus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from reconciler.domain.answer import Answer, Merchant, NotCreated, Reply, Unavailable
from reconciler.domain.case import CaseKind
from reconciler.domain.closing import CloseReply, TradeClosed
from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName
from reconciler.events.orders import OrderCallbackWon, OrderSettled
from reconciler.ops.measured import MeasuredGateway
from reconciler.ops.metrics import Metrics
from reconciler.ports import WatchCounts

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


def paused(metrics: Metrics) -> list[float | None]:
    return [value(metrics, "reconciler_settling_paused", reason=why) for why in ("hand", "brake", "locked")]


def test_every_series_starts_at_zero() -> None:
    metrics = fresh()

    assert value(metrics, "reconciler_info", version="1", mode="observe") == 1
    assert value(metrics, "reconciler_leader") == 0
    assert value(metrics, "reconciler_watches", state="due") == 0
    assert value(metrics, "reconciler_asks_total", channel=CHANNEL, answer="Untrusted") == 0
    assert value(metrics, "reconciler_settled_total", channel=CHANNEL) == 0
    assert value(metrics, "reconciler_cases_open", kind="needs_review") == 0
    assert value(metrics, "reconciler_last_success_timestamp_seconds", loop="find") == 0
    assert paused(metrics) == [0, 0, 0]


def test_why_settling_stands_still_is_one_series_a_reason() -> None:
    metrics = fresh()
    metrics.settling_paused(["brake", "locked"])
    assert [value(metrics, "reconciler_settling_paused", reason=why) for why in ("hand", "brake", "locked")] == [
        0,
        1,
        1,
    ]
    metrics.settling_paused(["hand"])
    assert [value(metrics, "reconciler_settling_paused", reason=why) for why in ("hand", "brake", "locked")] == [
        1,
        0,
        0,
    ]


def test_a_reload_leaves_one_mode() -> None:
    metrics = fresh()

    metrics.mode("1", "enforce")

    assert value(metrics, "reconciler_info", version="1", mode="observe") is None
    assert value(metrics, "reconciler_info", version="1", mode="enforce") == 1


def test_the_flows_figures_are_taken() -> None:
    metrics = fresh()

    metrics.lead(leads=True)
    metrics.watches(WatchCounts(open=5, due=2, ended=9, oldest_due_at=NOW))
    metrics.asked(CHANNEL, NotCreated(), 0.25)
    metrics.open_cases({CaseKind.STALLED: 3})
    metrics.open_cases({CaseKind.UNASKABLE: 1})
    metrics.succeeded("find", NOW)

    assert value(metrics, "reconciler_leader") == 1
    assert value(metrics, "reconciler_watches", state="ended") == 9
    assert value(metrics, "reconciler_oldest_due_timestamp_seconds") == NOW.timestamp()
    assert value(metrics, "reconciler_asks_total", channel=CHANNEL, answer="NotCreated") == 1
    assert value(metrics, "reconciler_ask_duration_seconds_sum", channel=CHANNEL) == 0.25
    assert value(metrics, "reconciler_cases_open", kind="stalled") == 0
    assert value(metrics, "reconciler_cases_open", kind="unaskable") == 1
    assert value(metrics, "reconciler_last_success_timestamp_seconds", loop="find") == NOW.timestamp()

    metrics.watches(WatchCounts(open=0, due=0, ended=9, oldest_due_at=None))
    assert value(metrics, "reconciler_oldest_due_timestamp_seconds") == 0


def test_events_are_counted_with_what_they_say_was_done() -> None:
    metrics = fresh()

    metrics.emit(SETTLED)
    metrics.emit(OrderCallbackWon(order_no="A2", channel=CHANNEL, transaction_id="T2", why="w"))

    assert value(metrics, "reconciler_settled_total", channel=CHANNEL) == 1
    assert value(metrics, "reconciler_callback_won_total", channel=CHANNEL) == 1
    assert value(metrics, "reconciler_events_total", event="order.settled", severity="notice") == 1


def test_the_exposition_can_be_parsed_and_names_no_order() -> None:
    metrics = fresh()
    metrics.emit(SETTLED)

    body, content_type = metrics.exposition()

    assert content_type.startswith("text/plain")
    assert {family.name for family in text_string_to_metric_families(body.decode())} >= {"reconciler_settled"}
    assert b"A1" not in body
    assert b"_created" not in body


def test_a_scraper_that_wants_openmetrics_gets_it() -> None:
    body, content_type = fresh().exposition("application/openmetrics-text; version=1.0.0")

    assert "openmetrics" in content_type
    assert body.endswith(b"# EOF\n")


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
