"""One pass in each mode of each gateway, by the real process: keys, certificates, service providers."""

from __future__ import annotations

import pytest

from reconciler.sandbox.accounts import Accounts
from tests.acceptance.world import PAID, World

pytestmark = pytest.mark.acceptance

ACCOUNTS = Accounts()
KEY_LINE = 'alipay_public_key = "file:{keys}/alipay-public-key.pem"'
CERTIFICATES = """app_cert = "file:{keys}/alipay-app-cert.pem"
alipay_cert = "file:{keys}/alipay-cert.pem"
alipay_root_cert = "file:{keys}/alipay-root-cert.pem\""""
TOKEN = 'app_auth_token = "file:{keys}/alipay-app-auth-token"'
PUBLIC = f'public_key_id = "{ACCOUNTS.public_key_id}"\npublic_key = "file:{{keys}}/wechat-public-key.pem"'
APIV3 = 'apiv3_key = "file:{keys}/wechat-apiv3-key"'
SUB = f'sub_mchid = "{ACCOUNTS.sub_mchid}"\nsub_appid = "{ACCOUNTS.sub_appid}"'

MODES = {
    "certificates": (CERTIFICATES, APIV3),
    "service provider": (f"{KEY_LINE}\n{TOKEN}", f"{PUBLIC}\n{SUB}"),
    "certificates and service provider": (f"{CERTIFICATES}\n{TOKEN}", f"{APIV3}\n{SUB}"),
    "migration": (KEY_LINE, f"{PUBLIC}\n{APIV3}"),
}


@pytest.mark.parametrize("mode", MODES)
async def test_a_paid_order_is_settled_and_its_proof_verifies_offline(world: World, mode: str) -> None:
    keys = world.directory / "keys"
    config = world.configuration()
    alipay, wechat = (lines.format(keys=keys) for lines in MODES[mode])
    text = config.read_text()
    text = text.replace(KEY_LINE.format(keys=keys), alipay).replace(PUBLIC.format(keys=keys), wechat)
    config.write_text(text)
    for channel in ("alipay", "wechat"):
        world.order(f"{channel}-1", channel=channel)
        world.pay(f"{channel}-1", channel=channel)
    code, output, log = await world.once(config)
    assert code == 0, output + "".join(log.raw)
    assert {number: row[0] for number, row in world.rows().items()} == {"alipay-1": PAID, "wechat-1": PAID}

    world.serving.roll_over()  # another platform certificate signs from now on: what was kept still proves
    world.order("wechat-2", channel="wechat")
    world.pay("wechat-2", channel="wechat")
    code, output, log = await world.once(config)
    assert code == 0, output + "".join(log.raw)
    assert world.rows()["wechat-2"][0] == PAID
    verified = await world.json(config, "ledger", "verify")
    assert verified["sound"]
    assert verified["signatures"] == verified["evidence"] >= 3
    assert verified["unchecked"] == []
