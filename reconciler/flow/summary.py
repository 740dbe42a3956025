"""The hourly summary: what was done since the last one, and what is open."""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler.events.running import Summary
from reconciler.flow.context import Context, Tally
from reconciler.flow.stay_book import FIGURES_MARK, figures_of


async def summary_of(context: Context, tally: Tally, now: datetime) -> Summary:
    """Put a summary together: what was done, and what is open."""
    counts = await context.ledger.counts(now)
    cases = await context.ledger.open_cases()
    figures = figures_of(await context.ledger.mark(FIGURES_MARK))
    return Summary(
        found=tally.found,
        asked=sum(tally.asked.values()),
        settled=tally.settled,
        would_settle=tally.would_settle,
        callback_won=tally.callback_won,
        closed=tally.closed,
        closed_at_gateway=tally.closed_at_gateway,
        cases_opened=tally.cases_opened,
        unanswered=tally.unanswered,
        watching=counts.open,
        overdue=counts.due,
        cases_open=sum(each.count for each in cases.values()),
        stalled=sum(figure.over for figure in figures.values()) if figures else None,
        period=now - tally.since + timedelta(0),
    )
