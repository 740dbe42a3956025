"""`reconciler ask ORDER`: ask now, facts side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from reconciler.cli.common import AsJson, Config, fail, print_json, read, say
from reconciler.cli.findings import show
from reconciler.cli.leader import have_done
from reconciler.exit import Exit
from reconciler.settings.model import Settings

ANSWER_WITHIN_S = 120.0
CAME_TO_NOTHING = frozenset({"Unavailable", "Throttled", "Untrusted", "Misconfigured"})


def ask(
    order: Annotated[str, typer.Argument(help="The order_no or the out_trade_no.")],
    *,
    settle: Annotated[bool, typer.Option("--settle", help="Act on the decision, as the daemon would.")] = False,
    config: Config = None,
    json: AsJson = False,
) -> None:
    """Ask the gateway now about one order, and show theirs and ours side by side, and the decision.

    The running leader asks; without one, this command takes the shop's lock itself.
    """
    settings = read(config)
    findings = _findings(settings, order, act=settle)
    if not findings:
        fail(
            f"No order with the number {order} is Reconciler's to ask about: it is not in the shop, "
            "or shop.orders.where leaves it out, or no configured channel is its own.",
            Exit.UNFINISHED,
        )
    if json:
        print_json(findings)
    else:
        for finding in findings:
            _show(finding, settings, act=settle)
    if any(finding["answer"] in CAME_TO_NOTHING for finding in findings):
        raise typer.Exit(Exit.UNFINISHED)


def _findings(settings: Settings, order: str, *, act: bool) -> Sequence[Mapping[str, Any]]:
    (answer,) = have_done(settings, "ask", [{"number": order, "settle": act}], ANSWER_WITHIN_S)
    findings: Sequence[Mapping[str, Any]] = answer["findings"]
    return findings


def _show(finding: Mapping[str, Any], settings: Settings, *, act: bool) -> None:
    show(finding)
    if finding["outcome"]:
        say(f"  outcome   {finding['outcome']}")
    elif act:
        say("  outcome   nothing was done: the answer says nothing, and the daemon asks on by itself")
    elif finding["decision"] == "settle" and settings.mode == "enforce":
        say("            nothing was done; --settle acts on it")
    else:
        say("            nothing was done")
    say()
