"""What may be asked of whoever leads: only of who does, and what fails is said in words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.control.commands import Commands
from reconciler.ops.control import CommandRefused
from reconciler.ports import ShopUnavailable

LED = ("ask", "cases", "pause", "resume")


def commands(*, leading: bool, troubles: tuple[str, ...] = ()) -> Commands:
    """Put them on a process whose shop is away."""

    async def away(*_: object, **__: object) -> object:
        raise ShopUnavailable("connection refused")

    assembly: Any = SimpleNamespace(
        rounds=SimpleNamespace(leading=leading, troubles=lambda: troubles),
        inquiry=SimpleNamespace(ask=away),
        switch=SimpleNamespace(pause=away, resume=away),
        settings=SimpleNamespace(channels={}),
    )
    return Commands(assembly)


@pytest.mark.parametrize("name", LED)
@pytest.mark.parametrize(
    ("troubles", "said"),
    [((), "this daemon does not lead"), (("the shop is away", "and the ledger"), "the shop is away; and the ledger")],
)
async def test_who_does_not_lead_carries_out_nothing_and_says_why(
    name: str, troubles: tuple[str, ...], said: str
) -> None:
    with pytest.raises(CommandRefused, match=f"^{said}$"):
        await commands(leading=False, troubles=troubles).by_name()[name]({"number": "A1", "channels": [], "by": "li"})


@pytest.mark.parametrize("name", ["ask", "pause", "resume"])
async def test_a_shop_that_is_away_is_why_it_is_not_done(name: str) -> None:
    with pytest.raises(CommandRefused, match=r"^connection refused$"):
        await commands(leading=True).by_name()[name]({"number": "A1", "channels": [], "by": "li"})
