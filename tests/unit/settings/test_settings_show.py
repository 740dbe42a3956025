from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping

import pytest

from reconciler.settings import ChannelSettings, Settings, as_dict, as_toml, parse
from reconciler.settings.show import masked

Parse = Callable[..., Settings]
Gateways = Mapping[str, type[ChannelSettings]]

FULL = r"""
shop_values = [3, "a\"b\u007f\\\t\u0001"]
[shop.orders.set]
"pay status" = "{transaction_id}"
done = true
text = "中文"
[shop.attempts]
table = "t"
key = "id"
order = "o"
out_trade_no = "no"
channel = "code"
[settle]
review_over = "12.30"
[settle.webhook]
url = "https://shop.example/"
secret = "env:APPLE_KEY"
[processing_limits]
"2" = "10m"
[alerts]
targets = ["env:APPLE_KEY"]
[http]
listen = "off"
"""


def test_what_is_shown_loads_to_the_same_settings_again(parsed: Parse, gateways: Gateways) -> None:
    for settings in (parsed(), parsed(more=FULL)):
        again = parse(as_toml(settings), gateways)
        assert again.model_dump() == settings.model_dump()
        assert as_toml(again) == as_toml(settings)


def test_defaults_are_filled_in(parsed: Parse) -> None:
    shown = tomllib.loads(as_toml(parsed(more='[ask]\nages = ["8d"]\n')))
    assert shown["mode"] == "observe"
    assert shown["find"] == {"every": "15s", "full_every": "1h", "window": "9d", "overlap": "2m"}
    assert shown["settle"]["brake_yuan_per_hour"] == "200000.00"
    assert shown["http"]["listen"] == "127.0.0.1:9470"
    assert shown["channels"]["apple"]["endpoint"] == "https://apple.example/query"


def test_it_is_json_too(parsed: Parse) -> None:
    settings = parsed(more=FULL)
    assert json.loads(json.dumps(as_dict(settings))) == tomllib.loads(as_toml(settings))


def test_secrets_are_shown_as_references_only(parsed: Parse, monkeypatch: pytest.MonkeyPatch) -> None:
    text = as_toml(parsed(more=FULL)) + json.dumps(as_dict(parsed(more=FULL))) + repr(parsed(more=FULL))
    assert "env:APPLE_KEY" in text
    assert "a good key" not in text


def test_a_password_in_a_url_is_masked() -> None:
    assert masked("mysql://u:hunter2@h:1/d?x=1") == "mysql://u:***@h:1/d?x=1"
    assert "hunter2" not in masked("postgresql:///d?password=hunter2")
    assert masked("mysql://u@h/d") == "mysql://u@h/d"
    assert masked("a:b@c") == "a:b@c"
