from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from reconciler.sandbox import condition as condition_module
from reconciler.sandbox.condition import Condition, Conditions, Trait
from reconciler.sandbox.controls import Turn, gateways_as_json, turn_from_json
from reconciler.sandbox.errors import NotAScript
from reconciler.sandbox.keys import Keys
from reconciler.sandbox.platform import Platform
from reconciler.sandbox.trade import GatewayKind


@pytest.mark.parametrize(
    ("sent", "turn"),
    [
        ({"gateway": "alipay", "condition": "down"}, Turn(GatewayKind.ALIPAY, Condition(Trait.DOWN), rolls_over=False)),
        ({"gateway": "wechat", "roll_over": True}, Turn(GatewayKind.WECHAT, None, rolls_over=True)),
        (
            {"gateway": "wechat", "condition": "wrong_clock", "off_s": -90, "roll_over": True},
            Turn(GatewayKind.WECHAT, Condition(Trait.WRONG_CLOCK, timedelta(seconds=-90)), rolls_over=True),
        ),
    ],
)
def test_a_turn_is_read_as_it_was_posted(sent: object, turn: Turn) -> None:
    assert turn_from_json(sent) == turn


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ([], "send an object like"),
        ({"gateway": "wechat"}, "condition is due"),
        ({"gateway": "wechat", "roll_over": True, "off_s": 1}, "condition is due"),
        ({"gateway": "paypal", "condition": "down"}, "gateway is one of: alipay, wechat"),
        ({"gateway": "alipay", "condition": "ill"}, "condition is one of: well, down, hang, throttle, wrong_clock"),
        ({"gateway": "alipay", "condition": None}, "condition is one of"),
        ({"gateway": "alipay", "roll_over": True}, "Alipay has no platform certificates"),
        ({"gateway": "wechat", "roll_over": 1}, "roll_over is true or false"),
        ({"gateway": "wechat", "condition": "wrong_clock", "off_s": "1"}, "off_s is a number from -86400 to 86400"),
        ({"gateway": "wechat", "condition": "wrong_clock", "off_s": 1e9}, "off_s is a number"),
        ({"gateway": "wechat", "state": "down"}, "'state' is no field"),
    ],
)
def test_what_cannot_be_turned_is_refused_with_what_can(sent: object, says: str) -> None:
    with pytest.raises(NotAScript, match=says):
        turn_from_json(sent)


def test_the_gateways_are_listed_with_how_they_do(keys: Keys) -> None:
    conditions = Conditions()
    conditions.put(GatewayKind.ALIPAY, Condition(Trait.WRONG_CLOCK, timedelta(seconds=90)))
    assert gateways_as_json(conditions, Platform(keys.platform, keys.apiv3_key)) == {
        "alipay": {"condition": "wrong_clock", "off_s": 90.0},
        "wechat": {"condition": "well", "off_s": 0.0, "platform_serials": [keys.platform.serial]},
    }


async def test_whoever_waits_while_a_gateway_hangs_is_let_go_when_it_is_well() -> None:
    conditions = Conditions()
    conditions.put(GatewayKind.WECHAT, Condition(Trait.HANG))
    waiting = [asyncio.create_task(conditions.while_hanging(GatewayKind.WECHAT)) for _ in range(2)]
    await conditions.while_hanging(GatewayKind.ALIPAY)  # the other one is well
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    conditions.put(GatewayKind.WECHAT, Condition(Trait.HANG))  # no change that helps
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    conditions.put(GatewayKind.WECHAT, Condition())
    await asyncio.gather(*waiting)


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(condition_module, "HANG_S_MAX", 0.0)
    conditions = Conditions()
    conditions.put(GatewayKind.WECHAT, Condition(Trait.HANG))
    await conditions.while_hanging(GatewayKind.WECHAT)
