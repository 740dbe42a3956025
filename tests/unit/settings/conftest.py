from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from reconciler.settings import ChannelSettings, ConfigurationError, Settings, parse
from reconciler.settings.channel import Endpoint
from reconciler.settings.types import Secret

BASE = """
[shop]
url = "sqlite:////srv/shop/shop.db"

[shop.orders]
table = "orders"
key = "id"
order_no = "order_sn"
out_trade_no = "order_sn"
amount = "total"
status = "status"
created_at = "created_at"
transaction_id = "trade_no"

[shop.orders.states]
pending = [1]
paid = [2, 3]
closed = [-1]
settled_as = 2

[channels.apple]
gateway = "apple"
app_id = "1"
private_key = "env:APPLE_KEY"
"""

Check = Callable[..., list[str]]
Parse = Callable[..., Settings]


class Apple(ChannelSettings):
    private_fields: ClassVar[frozenset[str]] = frozenset({"private_key"})

    gateway: Literal["apple"] = "apple"
    endpoint: Endpoint = "https://apple.example/query"
    app_id: Annotated[str, Field(pattern="^[0-9]+$")]
    private_key: Secret

    def problems(self) -> Iterable[tuple[str, str]]:
        if self.private_key.reveal() != b"a good key":
            yield "private_key", "is no key"


class Pear(ChannelSettings):
    gateway: Literal["pear"] = "pear"
    endpoint: Endpoint = "https://pear.example"
    serial_no: str
    key: Secret | None = None


@pytest.fixture
def gateways() -> Mapping[str, type[ChannelSettings]]:
    return {"pear": Pear, "apple": Apple}


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a systemd credentials directory, and the one key that BASE needs in the environment."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    monkeypatch.setenv("APPLE_KEY", "a good key")
    return folder


@pytest.fixture
def base(credentials: Path) -> str:
    return BASE


@pytest.fixture
def parsed(gateways: Mapping[str, type[ChannelSettings]], base: str) -> Parse:
    """Parse BASE after replacements of its text (each must be found), and with more text at the end."""

    def parsed(*replacements: tuple[str, str], more: str = "", top: str = "") -> Settings:
        text = base
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        return parse(top + text + more, gateways)

    return parsed


@pytest.fixture
def check(parsed: Parse) -> Check:
    """Give the problems of such a text, one line each."""

    def check(*replacements: tuple[str, str], more: str = "", top: str = "") -> list[str]:
        try:
            parsed(*replacements, more=more, top=top)
        except ConfigurationError as error:
            return [str(problem) for problem in error.problems]
        return []

    return check
