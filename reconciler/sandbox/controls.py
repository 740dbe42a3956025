"""What a person may turn on a whole gateway, as the control endpoint reads and writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from reconciler.sandbox.condition import OFF_S_MAX, Condition, Conditions, Trait
from reconciler.sandbox.errors import NotAScript
from reconciler.sandbox.platform import Platform
from reconciler.sandbox.scripts import choice, number
from reconciler.sandbox.trade import GatewayKind

_EXAMPLE = '{"gateway": "wechat", "condition": "wrong_clock", "off_s": 300}'


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing to change about a gateway."""

    gateway: GatewayKind
    condition: Condition | None
    """None: as it is."""
    rolls_over: bool
    """Whether WeChat gets another platform certificate."""


def turn_from_json(sent: object) -> Turn:
    """Read what a person posted. Raises NotAScript."""
    if not isinstance(sent, dict):
        raise NotAScript(f"send an object like {_EXAMPLE}")
    unknown = sorted(set(sent) - {"gateway", "condition", "off_s", "roll_over"})
    if unknown:
        raise NotAScript(f"{unknown[0]!r} is no field: gateway, condition, off_s, roll_over")
    gateway = choice(GatewayKind, sent.get("gateway"), "gateway")
    rolls_over = sent.get("roll_over", False)
    if not isinstance(rolls_over, bool) or (rolls_over and gateway is not GatewayKind.WECHAT):
        raise NotAScript("roll_over is true or false, and WeChat's: Alipay has no platform certificates")
    if "condition" not in sent:
        if "off_s" in sent or not rolls_over:
            raise NotAScript(f"condition is due, as in {_EXAMPLE}")
        return Turn(gateway, None, rolls_over)
    off = timedelta(seconds=number(sent.get("off_s", 0), "off_s", OFF_S_MAX, minimum=-OFF_S_MAX))
    return Turn(gateway, Condition(choice(Trait, sent["condition"], "condition"), off), rolls_over)


def gateways_as_json(conditions: Conditions, platform: Platform) -> Mapping[str, object]:
    """Write how each gateway is doing."""
    told: dict[str, dict[str, object]] = {
        gateway: {
            "condition": conditions.of(gateway).trait,
            "off_s": conditions.of(gateway).clock_off.total_seconds(),
        }
        for gateway in GatewayKind
    }
    told[GatewayKind.WECHAT]["platform_serials"] = list(platform.serials)
    return told
