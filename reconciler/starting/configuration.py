"""The file: a commented `reconciler.toml` in mode observe, every guess marked as one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Final

from reconciler.settings.problems import key_text
from reconciler.starting.attempts import Attempts
from reconciler.starting.guess import Guess, Proposal

HEAD: Final = """\
# Written by `reconciler init` from the shop's schema. EVERY LINE WITH "guess" BESIDE IT IS ONE: what it rests on stands
# there. Go through them, then:
#   reconciler config check         what is missing in this file (credentials, to begin with)
#   reconciler doctor               whether it fits the shop and the gateways
#   reconciler run --once           one pass; in mode observe nothing is written to the shop
# Every key: docs/reference/settings.md. What they mean for a shop: docs/how-to/map-your-shop.md.

# "observe" decides, records and says what it would do. Leave it so for a day, then read what it said.
mode = "observe"
"""
CHANNELS: Final[Mapping[str, str]] = {
    "alipay": """\
# guess: you have an application at Alipay. Fill in yours, or delete this table.
[channels.alipay-main]
gateway = "alipay"
{values}app_id = "2021000000000001"                        # yours: 开放平台, the application's APPID
private_key = "credential:alipay-app-key"           # a file of mode 0600 in /etc/reconciler/credentials
alipay_public_key = "credential:alipay-public-key"  # Alipay's own, not the application's
""",
    "wechat": """\
# guess: you have a merchant number at WeChat Pay. Fill in yours, or delete this table.
[channels.wechat-main]
gateway = "wechat"
{values}mchid = "1900000001"                                # yours
appid = "wx0000000000000001"                        # yours
serial_no = "3775B6A45ACD588826D15E583A95F5DD12345678"   # of the merchant's API certificate
private_key = "credential:wechat-merchant-key"      # apiclient_key.pem, mode 0600
public_key_id = "PUB_KEY_ID_0119000000012026010100000000000001"   # yours: 商户平台, 微信支付公钥
public_key = "credential:wechat-public-key"
""",
}
ALL: Final = """
# guess: the channel column does not tell the channels apart, so each is asked. If it does: "recorded", and shop_values.
[ask]
channels = "all"
"""


@dataclass(frozen=True, slots=True)
class Reached:
    """How the shop's database was reached: as the file's keys have it, secrets as references."""

    url: str
    password: str | None = None
    tls: str | None = None
    tls_ca: str | None = None


def first_configuration(proposal: Proposal, reached: Reached) -> str:
    """Write the file for a proposal."""
    parts = [HEAD, "\n".join(_shop(proposal, reached))]
    if proposal.orders:
        parts.append("\n".join(_table("shop.orders", proposal.orders)))
    if proposal.states:
        parts.append("\n".join(_table("shop.orders.states", proposal.states)))
    if proposal.attempts is not None:
        parts.append("\n".join(_attempts(proposal.attempts)))
    for gateway, values in proposal.channels.items():
        parts.append(CHANNELS[gateway].format(values=_values(proposal, values)))
    text = "\n\n".join(part.strip("\n") for part in parts) + "\n"
    return text + ALL if proposal.asks_all else text


def _shop(proposal: Proposal, reached: Reached) -> Iterator[str]:
    yield "[shop]"
    for key, value in asdict(reached).items():
        if value is not None:
            yield f"{key} = {_toml(value)}"
    yield "# guess: the zone of date-times without an offset; `reconciler doctor` finds orders of the future by it"
    yield 'time_zone = "Asia/Shanghai"'
    if proposal.preset:
        yield f"# guess: this is {proposal.preset}: {_one_line(proposal.because)}."
        yield "# Read the preset's page first, docs/how-to/presets.md: what settling by update does NOT do there."
        yield f"preset = {_toml(proposal.preset)}"
    if proposal.strangers:
        strangers = ", ".join(_toml(_value(each)) for each in proposal.strangers)
        yield "# Seen in the channel column, and not recognised. What is nobody's to ask about goes here:"
        yield f"#ignore_channels = [{strangers}]"


def _table(name: str, guesses: Mapping[str, Guess]) -> Iterator[str]:
    yield f"[{name}]"
    for key, guess in guesses.items():
        value = guess.value
        if value is None:
            yield f"# TO DO: {_one_line(guess.because)}"
            yield f"#{key_text(key)} ="
            continue
        shown = f"[{', '.join(map(_toml, value))}]" if isinstance(value, tuple) else _toml(value)
        yield f"# guess: {_one_line(guess.because)}"
        yield f"{key_text(key)} = {shown}"


def _attempts(attempts: Attempts) -> Iterator[str]:
    yield f"# guess: {_one_line(attempts.table)} has numbers of its own for each order. If those go to the gateway (an"
    yield "# order then has several), take the # away here, and out_trade_no out of [shop.orders] if it is not one."
    yield "#[shop.attempts]"
    for key, value in asdict(attempts).items():
        if value is not None:
            yield f"#{key} = {_toml(value)}"


def _values(proposal: Proposal, values: tuple[str, ...]) -> str:
    if proposal.asks_all or not values:
        return ""
    shown = ", ".join(_toml(_value(value)) for value in values)
    return f"# guess: by the names that the shop gives them\nshop_values = [{shown}]\n"


def _value(text: str) -> int | str:
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() and str(int(text)) == text else text


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
