"""Platform certificates across restarts: what is kept, and what somebody can do to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.domain.answer import Paid, Untrusted
from reconciler.gateways.wechat.platform import MEMORY
from reconciler.ports import LedgerUnavailable
from reconciler.testing.clock import AutoClock
from reconciler.testing.memory import KeptInMind
from tests.unit.gateways.wechat_bench import (
    FIRST,
    NOW,
    SECOND,
    TRADE,
    Bench,
    Office,
    answer,
    bench,
    item,
    settings,
    signed,
)

Make = Callable[..., Bench]


@pytest.fixture
def certified(tmp_path: Path) -> Make:
    """Platform-certificate mode."""
    return lambda memory=None, office=None: bench(settings(tmp_path, public_key=False, apiv3_key=True), memory, office)


async def test_they_outlive_the_process(certified: Make) -> None:
    memory = KeptInMind()
    await answer(certified(memory))
    second = certified(memory)
    assert isinstance(await answer(second), Paid)
    assert second.wire.fetches == 0


async def test_what_is_kept_is_encrypted_as_it_came(certified: Make) -> None:
    memory = KeptInMind()
    made = certified(memory)
    items = [item(FIRST)]
    made.office.certificates = lambda _, now: signed({"data": items}, at=now)
    await answer(made)
    kept = json.loads(memory.kept[MEMORY])
    assert kept["items"] == [{name: items[0][name] for name in ("serial_no", "encrypt_certificate")}]
    assert "CERTIFICATE" not in memory.kept[MEMORY]


async def test_they_age_across_a_restart(certified: Make) -> None:
    memory = KeptInMind()
    await answer(certified(memory))
    later = certified(memory, Office(AutoClock(NOW + timedelta(hours=11))))
    assert isinstance(await answer(later), Paid)
    assert later.wire.fetches == 1


def tampered(change: Callable[[dict[str, object]], object]) -> Callable[[str], str]:
    def of(text: str) -> str:
        kept = json.loads(text)
        return json.dumps(change(kept) or kept)

    return of


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda _: "garbage",
        lambda _: "\udc80",
        lambda _: "[" * 200_000,
        lambda text: text + " " * 1_000_000,
        tampered(lambda kept: kept.clear()),
        tampered(lambda kept: kept.update(items="x")),
        tampered(lambda kept: kept.update(items=[item(FIRST, b"0" * 32)])),
        tampered(lambda kept: kept.update(fetched_at=None)),
        tampered(lambda kept: kept.update(fetched_at="yesterday")),
        tampered(lambda kept: kept.update(fetched_at="2026-11-23T04:00:00")),
        tampered(lambda kept: kept.update(fetched_at="2099-01-01T00:00:00+00:00")),
    ],
    ids=range(12),
)
async def test_a_memory_that_somebody_touched_is_fetched_anew(certified: Make, change: Callable[[str], str]) -> None:
    memory = KeptInMind()
    await answer(certified(memory))
    memory.kept[MEMORY] = change(memory.kept[MEMORY])
    made = certified(memory)
    assert isinstance(await answer(made), Paid)
    assert made.wire.fetches == 1


async def test_no_key_can_be_slipped_in_through_the_memory(certified: Make) -> None:
    """Whoever can write to the ledger does not know the APIv3 key."""
    memory = KeptInMind()
    await answer(certified(memory))
    kept = json.loads(memory.kept[MEMORY])
    kept["items"] = [item(SECOND, b"0" * 32), *kept["items"]]
    memory.kept[MEMORY] = json.dumps(kept)
    made = certified(memory)
    made.office.trade = lambda _, now: signed(TRADE, SECOND.key, SECOND.serial, at=now)
    assert isinstance(await answer(made), Untrusted)


class NoMemory:
    async def recall(self, name: str) -> str | None:
        raise LedgerUnavailable(name)

    async def remember(self, name: str, text: str) -> None:
        raise LedgerUnavailable(name + text)


async def test_a_ledger_that_is_away_costs_a_question_and_no_answer(certified: Make) -> None:
    made = certified(NoMemory())
    assert isinstance(await answer(made), Paid)
    assert made.wire.fetches == 1
