"""`reconciler explain`: what it says comes next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.cli.explain import Known, _lines
from reconciler.domain.order import Attempt, ChannelName, OrderKey
from reconciler.ports import Story, Watch, WatchId

NOW = datetime.now(UTC)
ATTEMPT = Attempt(OrderKey("1"), "A1", ChannelName("alipay-main"), "P1", NOW - timedelta(hours=1))


def next_line(decision: str, why: str, mode: str) -> str:
    watch = Watch(WatchId(1), ATTEMPT, NOW + timedelta(hours=1), last_decision=decision, why=why)
    return next(line for line in _lines(Known(Story((watch,)), {}, mode)) if line.startswith("  next"))


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
