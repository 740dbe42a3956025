"""Who visits the shop: decided by one seed, so that two runs look alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from random import Random

from reconciler.sandbox.trade import Trouble, Twist
from reconciler.sandbox.visit import STRANGE_CHANNEL, Visit

SEED = 20261123
DEMO_SECONDS_MIN = 25
LAST_ORDER_BEFORE_END_S = 8.0
"""The last orders still need their payment, an age and the grace."""
STUCK_BEFORE = 4
NUMBERS_FROM = 10_001
UNTRUSTED_LIMIT = 3
"""Of the written configuration; the plan's spells of bad signatures stay below it, save one."""

ALIPAY, WECHAT = "alipay", "wechat"
_EXPIRES_S = 15.0

_Kind = Callable[[Random], Visit]


@dataclass(frozen=True, slots=True)
class Plan:
    """The demo's visits."""

    before: tuple[Visit, ...]
    """Stuck already when the daemon starts."""
    during: tuple[Visit, ...]


def demo_plan(seconds: float, seed: int = SEED) -> Plan:
    """Plan the demo: some 60 orders of every kind in 30 seconds; a longer one has more of the ordinary ones."""
    random = Random(seed)  # noqa: S311 # a play, not a secret
    last_s = seconds - LAST_ORDER_BEFORE_END_S
    before = [replace(_lost(random), pays_s=0.0, expires_s=None) for _ in range(STUCK_BEFORE)]
    special = [replace(kind(random), at_s=round(0.4 + 0.2 * place, 1)) for place, kind in enumerate(_mixed(random))]
    ordinary = [_lost(random) for _ in range(round(last_s))] + [_won(random) for _ in range(round(last_s / 3))]
    spread = [replace(visit, at_s=round(random.uniform(0.5, last_s), 1)) for visit in ordinary]
    numbered = _numbered([*before, *sorted([*special, *spread], key=lambda visit: visit.at_s)])
    return Plan(before=numbered[: len(before)], during=numbered[len(before) :])


def sandbox_plan(orders: int, every_s: float, seed: int = SEED) -> tuple[Visit, ...]:
    """Plan a sandbox's buyers: one order each `every_s`, half of them ordinary losses, the rest of every kind."""
    random = Random(seed)  # noqa: S311 # a play, not a secret
    kinds: list[_Kind] = [*_KINDS, *[_lost] * len(_KINDS), *[_won] * (len(_KINDS) // 3)]
    return _numbered(replace(random.choice(kinds)(random), at_s=place * every_s) for place in range(orders))


def _numbered(visits: Iterable[Visit]) -> tuple[Visit, ...]:
    return tuple(replace(visit, order_no=f"A{NUMBERS_FROM + place}") for place, visit in enumerate(visits))


def _mixed(random: Random) -> list[_Kind]:
    """Give every kind once, in an order that keeps the untrusted ones apart: a run of those would pause a channel."""
    slow_to_show = [kind for kind in _KINDS if kind in _EARLY]
    others = [kind for kind in _KINDS if kind not in _EARLY]
    random.shuffle(others)
    mixed: list[_Kind] = []
    for kind in slow_to_show:
        mixed += [kind, others.pop()]
    return mixed + others


def _visit(random: Random, kind: str, pay_channel: str = "") -> Visit:
    channel = pay_channel or random.choice((ALIPAY, WECHAT))
    return Visit(kind=kind, order_no="", pay_channel=channel, amount_fen=random.randrange(990, 89_900))


def _paying(random: Random, kind: str, pay_channel: str = "") -> Visit:
    return replace(_visit(random, kind, pay_channel), pays_s=round(random.uniform(0.3, 2.5), 1))


def _lost(random: Random) -> Visit:
    return replace(_paying(random, "callback lost"), expires_s=_EXPIRES_S)


def _won(random: Random) -> Visit:
    return replace(_paying(random, "callback in time"), callback_s=0.1, expires_s=_EXPIRES_S)


def _late_callback(random: Random) -> Visit:
    return replace(_paying(random, "callback late"), callback_s=9.0)


def _paid_after_close(pay_channel: str) -> _Kind:
    return lambda random: replace(
        _visit(random, "paid after the shop closed it", pay_channel), expires_s=4.0, pays_s=5.0
    )


def _wrong_amount(pay_channel: str) -> _Kind:
    return lambda random: replace(_paying(random, "wrong amount", pay_channel), charged_fen=1)


def _refunded(pay_channel: str) -> _Kind:
    return lambda random: replace(_visit(random, "refunded meanwhile", pay_channel), pays_s=0.5, refunds_s=0.5)


def _closed_at_gateway(pay_channel: str) -> _Kind:
    return lambda random: replace(_visit(random, "closed at the gateway", pay_channel), closes_s=2.0)


def _troubled(kind: str, pay_channel: str, trouble: Trouble, asks: int, slow_s: float = 3.0) -> _Kind:
    return lambda random: replace(
        _visit(random, kind, pay_channel), pays_s=0.4, trouble=trouble, trouble_asks=asks, slow_s=slow_s
    )


def _never_paid(random: Random) -> Visit:
    return _visit(random, "never paid")


def _never_paid_and_closed(random: Random) -> Visit:
    return replace(_visit(random, "never paid"), expires_s=8.0)


def _never_created(random: Random) -> Visit:
    return replace(_visit(random, "never opened the payment page"), opens_s=None)


def _never_created_and_closed(random: Random) -> Visit:
    return replace(_never_created(random), expires_s=8.0)


def _other_merchant(random: Random) -> Visit:
    return replace(_paying(random, "paid to another merchant", WECHAT), twist=Twist.OTHER_MERCHANT)


def _unknown_state(random: Random) -> Visit:
    return replace(_paying(random, "a state nobody knows"), twist=Twist.UNKNOWN_STATE)


def _large(random: Random) -> Visit:
    return replace(_paying(random, "large amount"), amount_fen=699_900)


def _vanished(random: Random) -> Visit:
    return replace(_visit(random, "deleted by the shop"), pays_s=3.4, deletes_s=3.4)


def _unreadable(random: Random) -> Visit:
    return replace(_visit(random, "NULL amount"), amount_fen=None, charged_fen=8800, pays_s=0.8)


def _strange_channel(random: Random) -> Visit:
    return _visit(random, "a channel nobody configured", STRANGE_CHANNEL)


_EARLY: tuple[_Kind, ...] = (
    _troubled("signed wrongly for a while", WECHAT, Trouble.BAD_SIGNATURE, UNTRUSTED_LIMIT - 1),
    _troubled("never signed", ALIPAY, Trouble.UNSIGNED, 0),
    _troubled("500 for a while", ALIPAY, Trouble.SERVER_ERROR, 2),
    _troubled("signed wrongly for a while", ALIPAY, Trouble.BAD_SIGNATURE, UNTRUSTED_LIMIT - 1),
    _troubled("500 for a while", WECHAT, Trouble.SERVER_ERROR, 1),
    _paid_after_close(ALIPAY),
    _paid_after_close(WECHAT),
    _vanished,
)
"""Those that take longest to come to their end, and so come first."""
_KINDS: tuple[_Kind, ...] = (
    *_EARLY,
    _late_callback,
    _late_callback,
    _wrong_amount(ALIPAY),
    _wrong_amount(WECHAT),
    _refunded(ALIPAY),
    _refunded(WECHAT),
    _closed_at_gateway(ALIPAY),
    _closed_at_gateway(WECHAT),
    _troubled("throttled at first", ALIPAY, Trouble.THROTTLED, 1),
    _troubled("slow", WECHAT, Trouble.SLOW, 0, slow_s=1.2),
    _troubled("slower than we wait, once", ALIPAY, Trouble.SLOW, 1),
    _never_paid,
    _never_paid,
    _never_paid,
    _never_paid_and_closed,
    _never_paid_and_closed,
    _never_created,
    _never_created_and_closed,
    _other_merchant,
    _unknown_state,
    _large,
    _unreadable,
    _strange_channel,
)
