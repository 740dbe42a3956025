"""A hundred thousand cases at once, and a million behind them, on a ledger in a file: one message, and soon."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from reconciler.domain.case import CaseKind
from reconciler.ledger import open_ledger
from reconciler.ledger.values import to_us
from reconciler.ops.alerts.case_teller import CaseTeller
from reconciler.ops.alerts.post import Post, Route
from reconciler.ops.alerts.words import Voice
from reconciler.ops.clock import SystemClock
from reconciler.ports import EXAMPLES, Look, News
from reconciler.testing.alerter import RecordingAlerter
from reconciler.testing.events import RecordingEvents
from reconciler.testing.ledger_examples import CHANNEL, NOW

STORM, ENDED = 100_000, 900_000
WITHIN_S = 60.0
"""For the whole storm, each case written as told; a few seconds on an idle machine."""
IDLE_WITHIN_S = 0.5
ROWS = """
WITH RECURSIVE seq(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < {rows})
"""
CASE = """
INSERT INTO cases (kind, order_key, order_no, channel, out_trade_no, why, facts, facts_digest, opened_at, repeated,
  ending, final, ended_at, open, untold, amount_fen, currency)
"""


def fill(path: Path) -> None:
    """Open a storm of cases behind years of others."""
    now = to_us(NOW)
    of = f"'k' || n, 'A' || n, '{CHANNEL}', 'N' || n"
    kind = "CASE WHEN n % 1000 = 0 THEN 'late_payment' ELSE 'amount_mismatch' END"
    ended = f"SELECT 'amount_mismatch', {of}, 'x', '[]', 'd', 1, 0, 'done', 0, 2, NULL, NULL, NULL, NULL FROM seq"  # noqa: S608 # our own words, as all here
    opened = f"SELECT {kind}, {of}, 'amounts differ', '[]', 'd', {now}, 0, '', 0, NULL, 1, 1, 9900, 'CNY' FROM seq"  # noqa: S608 # the same
    with closing(sqlite3.connect(path)) as file:
        file.execute(CASE + ROWS.format(rows=ENDED) + ended)
        file.execute(CASE + ROWS.format(rows=STORM) + opened)
        file.commit()


async def test_a_hundred_thousand_cases_at_once_are_one_message_and_idle_looks_cost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = await open_ledger(f"sqlite:///{path}")
    try:
        fill(path)
        await ledger.lead("first", NOW)
        target = RecordingAlerter()
        clock = SystemClock()
        post = Post([Route("alerts.targets", (target,))], RecordingEvents(), clock)
        teller = CaseTeller(ledger, post, Voice("shop", str), clock)
        assert await ledger.untold() == STORM
        began = time.monotonic()
        assert await teller.turn(at_once=True) == STORM
        assert time.monotonic() - began < WITHIN_S
        (message,) = target.messages
        assert f"{STORM} new cases: {STORM - 100} amount_mismatch, 100 late_payment" in message.body
        assert f"Their orders amount to CNY {STORM * 99}.00." in message.body
        assert len([line for line in message.body.splitlines() if line.startswith("- ")]) == EXAMPLES
        assert len((message.title + message.body).encode()) < 2000
        assert await ledger.untold() == 0
        began = time.monotonic()
        assert await teller.turn(at_once=True) == 0
        assert time.monotonic() - began < IDLE_WITHIN_S
        assert (await ledger.news(Look(News.ENDED, frozenset(CaseKind), NOW, 1))).total == 0
    finally:
        await ledger.close()
