"""A complete configuration for the sandbox and its shop, with ages short enough to watch."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.directory import Place
from reconciler.sandbox.keys import (
    ALIPAY_CERTIFICATE,
    ALIPAY_PUBLIC_KEY,
    ALIPAY_ROOT_CERTIFICATE,
    APIV3_KEY,
    APP_AUTH_TOKEN,
    APP_CERTIFICATE,
    APP_KEY,
    MERCHANT_KEY,
    WECHAT_PUBLIC_KEY,
    write_private,
)
from reconciler.sandbox.plan import UNTRUSTED_LIMIT
from reconciler.sandbox.server import Serving

ALIPAY_CHANNEL = "alipay-main"
WECHAT_CHANNEL = "wechat-main"
REVIEW_OVER_FEN = 500_000
LAST_AGE_S = 20.0


def write_configuration(place: Place, serving: Serving, accounts: Accounts | None = None) -> Path:
    """Write DIR/reconciler.toml; give its path."""
    text = configuration(place, serving, accounts or Accounts())
    write_private(place.configuration, text.encode())
    return place.configuration


def configuration(place: Place, serving: Serving, accounts: Accounts) -> str:
    """Write the configuration as text: every path absolute, every secret a file."""

    def key_file(name: str) -> str:
        return _text(f"file:{place.keys / name}")

    return f"""\
# Written by the sandbox, which writes it anew whenever it starts. The ages are seconds here, so that one can watch.

[ledger]
url = {_database(place.ledger)}

[shop]
url = {_database(place.shop)}
time_zone = "Asia/Shanghai"

[shop.orders]
table = "orders"
key = "id"
order_no = "order_no"
out_trade_no = "order_no"
amount = "amount"
amount_unit = "yuan"
status = "status"
created_at = "created_at"
channel = "pay_channel"
transaction_id = "transaction_id"
paid_at = "paid_at"
touch = ["updated_at"]

[shop.orders.states]
pending = [0]
paid = [1, 2]
closed = [9]
refunded = [3]
settled_as = 1
closed_as = 9

[channels.{ALIPAY_CHANNEL}]
gateway = "alipay"
shop_values = ["alipay"]
endpoint = {_text(serving.alipay_endpoint)}
app_id = {_text(accounts.app_id)}
private_key = {key_file(APP_KEY)}
alipay_public_key = {key_file(ALIPAY_PUBLIC_KEY)}
# Certificate mode: these three instead of alipay_public_key.
# app_cert = {key_file(APP_CERTIFICATE)}
# alipay_cert = {key_file(ALIPAY_CERTIFICATE)}
# alipay_root_cert = {key_file(ALIPAY_ROOT_CERTIFICATE)}
# Service-provider mode, with either of them.
# app_auth_token = {key_file(APP_AUTH_TOKEN)}

[channels.{WECHAT_CHANNEL}]
gateway = "wechat"
shop_values = ["wechat"]
endpoint = {_text(serving.wechat_endpoint)}
mchid = {_text(accounts.mchid)}
appid = {_text(accounts.appid)}
serial_no = {_text(accounts.serial_no)}
private_key = {key_file(MERCHANT_KEY)}
public_key_id = {_text(accounts.public_key_id)}
public_key = {key_file(WECHAT_PUBLIC_KEY)}
# Platform-certificate mode: this instead of public_key_id and public_key, or beside them, as during the change-over.
# apiv3_key = {key_file(APIV3_KEY)}
# Service-provider mode, with either of them: mchid and appid are then the service provider's.
# sub_mchid = {_text(accounts.sub_mchid)}
# sub_appid = {_text(accounts.sub_appid)}

[find]
every = "1s"
full_every = "10s"

[ask]
ages = ["1s", "2s", "3s", "5s", "8s", "13s", "{LAST_AGE_S:g}s"]
late_from = "8s"
timeout = "2s"
untrusted_limit = {UNTRUSTED_LIMIT}

[settle]
grace = "1s"
late_payment = "case"
review_over = "{REVIEW_OVER_FEN // 100}.00"
close = true

[http]
listen = "off"

[log]
format = "console"

[control]
socket = {_text(str(place.control))}
"""


def _database(path: Path) -> str:
    return _text(f"sqlite:///{path}")


def _text(value: str) -> str:
    """Write a TOML basic string: JSON's escapes are TOML's too."""
    return json.dumps(value, ensure_ascii=False)
