from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from reconciler.gateways import SETTINGS
from reconciler.gateways.wechat.settings import BACKUP_ENDPOINT
from reconciler.settings import ChannelSettings, ConfigurationError, load, parse
from reconciler.settings.channel import Endpoint
from reconciler.settings.model import Settings
from reconciler.settings.problems import tables_of
from reconciler.settings.types import Secret

SHIPPED = Path(__file__).parents[3] / "config" / "reconciler.toml"
TEXT = SHIPPED.read_text()
EVERYTHING = re.sub(r'^#(?=[\w\["])', "", TEXT, flags=re.MULTILINE)
"""The file with every setting in it that is commented out."""
FREE_TABLES = {"channels", "processing_limits", "set", "also"}


class Alipay(ChannelSettings):
    private_fields: ClassVar[frozenset[str]] = frozenset({"private_key"})
    endpoint: Endpoint = "https://openapi.alipay.com/gateway.do"
    app_id: str
    private_key: Secret
    alipay_public_key: Secret
    app_cert: Secret | None = None
    alipay_cert: Secret | None = None
    alipay_root_cert: Secret | None = None
    app_auth_token: Secret | None = None


class Wechat(ChannelSettings):
    endpoint: Endpoint = "https://api.mch.weixin.qq.com"
    backup_endpoint: Endpoint
    mchid: str
    appid: str
    serial_no: str
    private_key: Secret
    public_key_id: str
    public_key: Secret
    apiv3_key: Secret
    sub_mchid: str
    sub_appid: str


GATEWAYS: Mapping[str, type[ChannelSettings]] = {"alipay": Alipay, "wechat": Wechat}


@pytest.fixture
def every_credential(credentials: Path) -> Path:
    for name in re.findall(r'"credential:([a-z0-9-]+)"', EVERYTHING):
        (credentials / name).write_text("x")
    return credentials


def test_it_loads_where_its_credentials_exist(every_credential: Path) -> None:
    settings = load(SHIPPED, GATEWAYS)
    assert list(settings.channels) == ["alipay-main"]
    assert settings.mode == "observe"


def test_it_loads_with_every_setting_in_it(every_credential: Path) -> None:
    text = EVERYTHING.replace("sqlite:////var/lib/reconciler/ledger.db", "postgresql://reconciler@127.0.0.1/ledger")
    assert list(parse(text, GATEWAYS).channels) == ["alipay-main", "wechat-main"]


def test_it_names_the_credentials_that_are_missing(credentials: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(SHIPPED, GATEWAYS)
    assert [problem.path for problem in caught.value.problems] == [
        "channels.alipay-main.alipay_public_key",
        "channels.alipay-main.private_key",
        "shop.password",
    ]


def test_every_key_is_in_it_and_none_besides() -> None:
    raw = tomllib.loads(EVERYTHING)
    assert keys_in(raw) == keys_of(Settings)
    for name, model in (("alipay-main", Alipay), ("wechat-main", Wechat)):
        assert set(raw["channels"][name]) == set(model.model_fields)


def test_what_is_commented_out_is_the_default_where_there_is_one() -> None:
    shipped, everything = tomllib.loads(TEXT), tomllib.loads(EVERYTHING)
    compared = 0
    for key, table in {**tables_of(Settings), "shop.orders": tables_of(tables_of(Settings)["shop"])["orders"]}.items():
        given, active = everything, shipped
        for part in key.split("."):
            given, active = given[part], active.get(part, {})
        for name in given.keys() - active.keys():
            field = table.model_fields[name]
            if not field.is_required() and field.default not in {None, ()} and name not in FREE_TABLES:
                compared += 1
                assert given[name] == shown(table, name), f"{key}.{name}"
    assert compared > 25


def test_an_example_says_that_it_is_one_and_a_default_does_not() -> None:
    path: list[str] = []
    judged = 0
    for line in TEXT.splitlines():
        if heading := re.fullmatch(r"#?\[([\w.-]+)\]", line):
            path = heading[1].split(".")
        elif re.match(r'#[\w"]', line):
            ((name, value),) = tomllib.loads(line[1:]).items()
            judged += 1
            assert line.endswith("  # example") is (value != default_of(path, name)), line
    assert judged > 70


def default_of(path: list[str], name: str) -> object:
    """Give a key's default as the file would have it; None where it has none."""
    table: type[BaseModel] | None = Settings
    if path[:1] == ["channels"]:
        table = SETTINGS[path[1].partition("-")[0]]
    else:
        for part in path:
            table = tables_of(table).get(part) if table is not None else None
    if table is None or name not in table.model_fields or table.model_fields[name].is_required():
        return None
    return BACKUP_ENDPOINT if name == "backup_endpoint" else shown(table, name)


def shown(table: type[BaseModel], name: str) -> object:
    return table.model_construct().model_dump(mode="json", include={name}, warnings=False)[name]


def keys_in(table: Mapping[str, Any], path: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in table.items():
        found.add(path + key)
        if isinstance(value, dict) and key not in FREE_TABLES:
            found |= keys_in(value, f"{path}{key}.")
    return found


def keys_of(model: type[BaseModel], path: str = "") -> set[str]:
    found = {path + key for key in model.model_fields}
    for key, table in tables_of(model).items():
        if key not in FREE_TABLES:
            found |= keys_of(table, f"{path}{key}.")
    return found
