"""What one ask found, for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.cli.common import say, side_by_side
from reconciler.domain.case import Fact


def show(finding: Mapping[str, Any]) -> None:
    """Print row, answer, facts side by side, and the decision."""
    verified = "verified" if finding["verified"] else "not verified"
    reason = f": {finding['reason']}" if finding["reason"] else ""
    say(f"order {finding['order_no']}   {finding['channel']}   out_trade_no {finding['out_trade_no']}")
    say(f"  shop      {finding['row']}")
    say(f"  gateway   {finding['answer']}{reason}   ({verified}, {finding['duration_ms']} ms)")
    if finding["facts"]:
        for line in side_by_side([Fact(**fact) for fact in finding["facts"]]):
            say(line)
    say(f"  decision  {finding['decision']}: {finding['why']}")
