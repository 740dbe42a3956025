"""What one seed decides beforehand: the shop's habits, the settings, how much goes wrong and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from random import Random

from reconciler.domain.answer import Merchant
from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName
from reconciler.domain.policy import DEFAULT_AGES, LatePayment, Policy
from reconciler.flow.brake import Limits
from reconciler.flow.find import FindPolicy

ALIPAY, WECHAT = ChannelName("alipay-main"), ChannelName("wechat-main")
CHANNELS = (ALIPAY, WECHAT)
MERCHANTS: dict[ChannelName, Merchant] = {ALIPAY: (), WECHAT: (("appid", "wx1"), ("mchid", "1900"))}
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

CLOCK_FAR_S = 200.0
"""From there on a clock is so wrong that a channel may stand still for it."""

SHORT_AGES = tuple(
    timedelta(seconds=seconds) for seconds in (20, 60, 180, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600)
)


def rng_of(seed: int, what: str) -> Random:
    """Give a source of chance of its own to each thing, so that a change of one leaves the others as they were."""
    return Random(f"{seed}/{what}")  # noqa: S311 # chance that is to repeat itself


class Fault(Enum):
    """What may befall a channel, the shop's database, the ledger, or the shop's own code, for a while."""

    AWAY = "away"
    FLAKY = "flaky"
    THROTTLED = "throttled"
    FORGED = "forged"
    REPLAYED = "replayed"
    REFUSED = "refused"
    """The gateway takes none of our questions: a wrong key, a permission withdrawn."""
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Spell:
    """A time during which something goes wrong, in seconds since the beginning."""

    fault: Fault
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Habits:
    """How this shop goes about its orders."""

    expires_after: float | None
    """When an unpaid order is closed, in seconds; None: never."""
    guarded_callback: bool
    """Whether the shop's callback looks at the state before it writes; else it writes `paid` over anything."""
    callback_loss: float
    """The share of callbacks that never arrive."""
    trade_timeout: float | None
    """When the gateway closes an unpaid trade; None: never."""
    shuts_delivered: float
    """The share of delivered orders that staff set to closed at once, as some shops do when they archive."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One world."""

    seed: int
    days: float
    orders: int
    policy: Policy
    find: FindPolicy
    limits: Limits
    habits: Habits
    webhook: bool
    hosts: int
    spells: Mapping[str, tuple[Spell, ...]]
    """What goes wrong, by whom it befalls."""
    crashes: tuple[float, ...]
    """When the leading process dies, at one of its next port calls."""
    freezes: tuple[tuple[float, float], ...]
    """When the leading process is stopped, and for how long."""
    lost_locks: tuple[float, ...]
    """When the leader's connection breaks under it."""
    jumps: tuple[tuple[float, float], ...]
    """When the leader's host sets its clock, and how far ahead of the true time, in seconds."""
    drift: tuple[float, ...]
    """How far each host's clock is ahead from the beginning, in seconds."""
    observes_until: float
    """Mode observe before, enforce after."""
    ledger_lost_at: float | None
    ledger_restored_from: float | None
    """A backup of that time takes the lost one's place; None: nothing does."""
    person_every: float | None
    """How often somebody works through the cases; None: nobody does."""
    poison: bool
    """One order breaks us each time it is looked at."""
    audits: bool
    prunes: bool
    last_order: float
    """Nobody orders after that."""
    calm_from: float
    """Nothing goes wrong any more from then on."""

    @property
    def end(self) -> float:
        """When the simulation ends, in seconds."""
        return self.days * DAY

    def spell(self, whom: str, at: float) -> Fault | None:
        """Say what is wrong with somebody at a moment."""
        for one in self.spells.get(whom, ()):
            if one.begin <= at < one.end:
                return one.fault
        return None


def plan(seed: int, days: float, orders: int) -> Plan:
    """Draw a world."""
    rng = rng_of(seed, "plan")
    short = rng.random() < 0.6
    ages = SHORT_AGES if short else DEFAULT_AGES
    tail = ages[-1].total_seconds() + 4 * HOUR
    last_order = max(days * DAY - tail, 4 * HOUR)
    calm_from = last_order + 2 * HOUR
    webhook = rng.random() < 0.35
    troubled = rng.random() < 0.85
    policy = Policy(
        ages=ages,
        late_from=timedelta(minutes=30 if short else 60),
        grace=timedelta(seconds=rng.choice([0, 10, 60])),
        late_payment=rng.choice(list(LatePayment)),
        review_over=Money(40_000) if rng.random() < 0.3 else None,
        review_after=timedelta(hours=rng.choice([1, 6, 12, 48])),
        closes_orders=not webhook and rng.random() < 0.3,
        closes_at_gateway=rng.random() < 0.3,
        shared_payment=not webhook and rng.random() < 0.2,
        merchants=MERCHANTS,
    )
    lost_at = rng.uniform(HOUR, calm_from - HOUR) if troubled and rng.random() < 0.15 else None
    restored_from = None if lost_at is None or rng.random() < 0.5 else rng.uniform(0, lost_at)
    hosts = rng.choice([1, 1, 2, 3])
    return Plan(
        seed=seed,
        days=days,
        orders=orders,
        policy=policy,
        find=FindPolicy(
            every=timedelta(seconds=rng.choice([120, 300, 600])),
            window=timedelta(days=7),
            overlap=timedelta(minutes=rng_of(seed, "overlap").choice([2, 15, 60])),
        ),
        limits=rng.choice([Limits(), Limits(per_minute=20), Limits(per_minute=30, per_hour=60)]),
        habits=Habits(
            expires_after=rng.choice([None, 5 * MINUTE, 15 * MINUTE, 2 * HOUR]),
            guarded_callback=rng.random() < 0.7,
            callback_loss=rng.choice([0.05, 0.3, 0.9]),
            trade_timeout=rng.choice([None, 30 * MINUTE, 2 * HOUR]),
            shuts_delivered=rng.choice([0.0, 0.0, 0.1]),
        ),
        webhook=webhook,
        hosts=hosts,
        spells=_spells(rng, calm_from) if troubled else {},
        crashes=_times(rng, 12, calm_from) if troubled else (),
        freezes=tuple((at, rng.uniform(1, 20 * MINUTE)) for at in _times(rng, 4, calm_from)) if troubled else (),
        lost_locks=_times(rng, 6, calm_from) if troubled else (),
        jumps=_jumps(rng, calm_from) if troubled else (),
        drift=tuple(rng.uniform(-20, 20) for _ in range(hosts)),
        observes_until=rng.uniform(0, last_order) if rng.random() < 0.15 else 0.0,
        ledger_lost_at=lost_at,
        ledger_restored_from=restored_from,
        person_every=rng.uniform(HOUR, 8 * HOUR) if rng.random() < 0.7 else None,
        poison=troubled and rng.random() < 0.2,
        audits=rng.random() < 0.15,
        prunes=rng.random() < 0.15,
        last_order=last_order,
        calm_from=calm_from,
    )


def _times(rng: Random, most: int, until: float) -> tuple[float, ...]:
    return tuple(sorted(rng.uniform(0, until) for _ in range(rng.randint(0, most))))


def _jumps(rng: Random, until: float) -> tuple[tuple[float, float], ...]:
    """Draw steps of a clock: small ones, and now and then one far off, which somebody notices hours later."""
    steps = []
    for _ in range(rng.randint(0, 3)):
        at = rng.uniform(0, until)
        far = rng.random() < 0.3
        ahead = rng.choice([-1, 1]) * rng.uniform(CLOCK_FAR_S, 3 * DAY) if far else rng.uniform(-100, 100)
        steps.append((at, ahead))
        if far:
            steps.append((at + rng.uniform(10 * MINUTE, 5 * HOUR), rng.uniform(-20, 20)))
    return tuple(sorted(steps))


def _spells(rng: Random, until: float) -> dict[str, tuple[Spell, ...]]:
    befalls: list[tuple[str, Sequence[Fault], int]] = [(channel, list(Fault), 4) for channel in CHANNELS]
    befalls.append(("shop", (Fault.AWAY, Fault.FLAKY, Fault.SLOW), 2))
    befalls.append(("ledger", (Fault.AWAY,), 2))
    befalls.append(("receiver", (Fault.AWAY, Fault.FLAKY, Fault.REFUSED, Fault.SLOW), 2))
    drawn = {
        whom: [_spell(rng, rng.choice(faults), until) for _ in range(rng.randint(0, most))]
        for whom, faults, most in befalls
    }
    return {whom: tuple(sorted(spells, key=lambda spell: spell.begin)) for whom, spells in drawn.items() if spells}


def _spell(rng: Random, fault: Fault, until: float) -> Spell:
    begin = rng.uniform(0, until)
    lasts = rng.choice([MINUTE, 10 * MINUTE, HOUR, 5 * HOUR]) * rng.uniform(0.5, 1.5)
    return Spell(fault, begin, min(begin + lasts, until))
