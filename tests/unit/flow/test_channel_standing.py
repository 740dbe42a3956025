"""What is the matter with a channel, as a closed set: for the figures, /readyz and `status`."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from reconciler.domain.answer import (
    Answer,
    Misconfigured,
    NotCreated,
    Rejected,
    Reply,
    Throttled,
    Unavailable,
    Unpaid,
    Untrusted,
)
from reconciler.domain.standing import KEEPS_FROM_ASKING, Standing
from reconciler.flow.channel import ByHand
from reconciler.testing.clock import ManualClock
from reconciler.testing.ledger_examples import evidence
from reconciler.testing.pace import FreePace
from tests.unit.flow.bench import NOON, Bench
from tests.unit.flow.test_channel_troubles import UNPAID, Heard

FAR = timedelta(seconds=300)


@pytest.fixture
async def heard(bench: Bench) -> Heard:
    bench.clock = ManualClock(NOON)
    rounds = bench.process()
    assert await rounds.take_charge()
    return Heard(bench, rounds.context, rounds.channels[0])


@pytest.mark.parametrize(
    ("answers", "off", "standing"),
    [
        ([Misconfigured("no such app")], None, Standing.MISCONFIGURED),
        ([Untrusted("bad signature")] * 5, None, Standing.UNTRUSTED),
        ([Rejected("malformed")] * 10, None, Standing.REFUSED),
        ([Misconfigured("timestamp")], FAR, Standing.CLOCK),
        ([UNPAID] * 2, FAR, Standing.CLOCK),
        ([Unavailable("refused")] * 3, None, Standing.UNAVAILABLE),
        ([Throttled()], None, Standing.THROTTLED),
        ([NotCreated()] * 50, None, Standing.IN_DOUBT),
    ],
    ids=lambda value: value.name.lower() if isinstance(value, Standing) else "",
)
async def test_each_trouble_has_its_word(
    heard: Heard, answers: list[Answer], off: timedelta | None, standing: Standing
) -> None:
    assert heard.channel.standings == frozenset()

    now = heard.bench.clock.now()
    replies = [Reply(answer, isinstance(answer, Unpaid), now, now, evidence(), clock_off=off) for answer in answers]
    await heard.channel.hear(heard.context, [f"N{place}" for place in range(len(replies))], replies)

    assert heard.channel.standings == {standing}
    is_asked = heard.channel.room(heard.bench.clock.now()) > 0
    if standing.value.startswith("paused_"):
        assert is_asked == (standing not in KEEPS_FROM_ASKING)


async def test_a_hand_and_the_breaker_are_seen_beside_a_pause(heard: Heard) -> None:
    await heard.hear(Misconfigured("no such app"))
    heard.channel.by_hand = ByHand(NOON.isoformat(), "li")
    heard.channel.pacer = pace = FreePace()
    pace.is_open = True

    assert heard.channel.standings == {Standing.MISCONFIGURED, Standing.BY_HAND, Standing.BREAKER_OPEN}


async def test_a_pause_keeps_its_word_over_a_restart_and_loses_it_with_its_end(heard: Heard) -> None:
    await heard.hear(*[Untrusted("bad signature")] * 5)
    (next_one,) = heard.bench.process().channels
    await next_one.restore(heard.context)
    assert next_one.standings == {Standing.UNTRUSTED}

    await heard.after(timedelta(minutes=1), UNPAID)
    assert heard.channel.standings == frozenset()


async def test_a_pause_that_version_0_1_kept_is_one_of_misconfiguration(heard: Heard) -> None:
    kept = json.dumps({"since": NOON.isoformat(), "why": "no such app"})
    await heard.context.ledger.set_mark(f"channel.paused.{heard.channel.name}", kept)
    await heard.channel.restore(heard.context)
    assert heard.channel.standings == {Standing.MISCONFIGURED}
