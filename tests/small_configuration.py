"""A configuration of a small shop with one channel, for tests of what reads one."""

from __future__ import annotations

from pathlib import Path


def small_configuration(keys: Path, *, shop: str, ledger: str, mode: str = "observe") -> str:
    """Give it as TOML, which more tables may follow. `keys` is the sandbox's directory of them; the others are URLs."""
    return f"""
mode = "{mode}"
[ledger]
url = "{ledger}"
[shop]
url = "{shop}"
time_zone = "Asia/Shanghai"
[shop.orders]
table = "orders"
key = "id"
order_no = "order_no"
out_trade_no = "order_no"
amount = "amount"
status = "status"
created_at = "created_at"
[shop.orders.states]
pending = [0]
paid = [1]
settled_as = 1
[channels.alipay-main]
gateway = "alipay"
app_id = "2021000000000001"
private_key = "file:{keys}/alipay-app-key.pem"
alipay_public_key = "file:{keys}/alipay-public-key.pem"
"""
