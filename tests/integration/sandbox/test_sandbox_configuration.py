from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.domain.answer import Paid
from reconciler.domain.order import ChannelName
from reconciler.gateways import KINDS, SETTINGS
from reconciler.gateways.line import Way
from reconciler.ops.clock import SystemClock
from reconciler.sandbox.book import Book
from reconciler.sandbox.configuration import LAST_AGE_S, REVIEW_OVER_FEN, write_configuration
from reconciler.sandbox.directory import Place, fresh_place
from reconciler.sandbox.keys import Keys, keep_keys
from reconciler.sandbox.server import Serving, serve
from reconciler.sandbox.trade import GatewayKind, Trade
from reconciler.settings import load
from reconciler.testing.memory import KeptInMind
from reconciler.testing.pace import FreePace
from reconciler.transport import Transport

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Keys, Path]:
    directory = tmp_path_factory.mktemp("kept")
    return keep_keys(directory), directory


@pytest.fixture
def place(tmp_path: Path, kept: tuple[Keys, Path]) -> Place:
    with fresh_place(tmp_path / "沙箱 'q'".replace(" ", "-")) as place:
        shutil.copytree(kept[1], place.keys)
        return place


@pytest.fixture
async def serving(kept: tuple[Keys, Path]) -> AsyncIterator[Serving]:
    async with serve(kept[0], Book(), SystemClock()) as serving:
        yield serving


async def test_the_written_configuration_is_one_that_the_daemon_takes(place: Place, serving: Serving) -> None:
    settings = load(write_configuration(place, serving), SETTINGS, mode="enforce")
    assert settings.mode == "enforce"
    assert settings.ask.ages[-1].total_seconds() == LAST_AGE_S
    assert settings.settle.review_over is not None
    assert settings.settle.review_over.fen == REVIEW_OVER_FEN
    assert settings.http.listen is None
    assert settings.control.socket == place.control
    assert {name: channel.endpoint for name, channel in settings.channels.items()} == {
        "alipay-main": serving.alipay_endpoint,
        "wechat-main": serving.wechat_endpoint,
    }


async def test_it_is_sound_and_no_secret_stands_in_it(place: Place, serving: Serving) -> None:
    path = write_configuration(place, serving)
    load(path, SETTINGS)
    assert "BEGIN" not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_it_is_for_watching_only_until_somebody_says_enforce(place: Place, serving: Serving) -> None:
    assert load(write_configuration(place, serving), SETTINGS).mode == "observe"


def uncommented(text: str, *names: str) -> str:
    """Take the comment sign from these settings, as a person would who wants another mode."""
    for name in names:
        assert text.count(f"\n# {name} = ") == 1, name
        text = text.replace(f"\n# {name} = ", f"\n{name} = ")
    return text


def without(text: str, *names: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if line.partition(" = ")[0] not in names)


CERTIFICATES = ("app_cert", "alipay_cert", "alipay_root_cert")
MODES = {
    "as it is": ((), ()),
    "certificates": (CERTIFICATES, ("alipay_public_key",)),
    "Alipay's service provider": (("app_auth_token",), ()),
    "Alipay's service provider with certificates": ((*CERTIFICATES, "app_auth_token"), ("alipay_public_key",)),
    "platform certificates": (("apiv3_key",), ("public_key_id", "public_key")),
    "platform certificates and public key": (("apiv3_key",), ()),
    "WeChat's service provider": (("sub_mchid", "sub_appid"), ()),
    "WeChat's service provider with certificates": (
        ("sub_mchid", "sub_appid", "apiv3_key"),
        ("public_key_id", "public_key"),
    ),
}


@pytest.mark.parametrize("mode", MODES)
async def test_every_mode_that_it_has_in_comments_works_with_the_gateways(
    place: Place, kept: tuple[Keys, Path], mode: str
) -> None:
    book, now = Book(), CLOCK.now()
    for gateway in GatewayKind:
        book.put(Trade(gateway, "A10001", 9900, opened_at=now, paid_at=now))
    async with serve(kept[0], book, CLOCK) as serving:
        path = write_configuration(place, serving)
        into, out_of = MODES[mode]
        path.write_text(without(uncommented(path.read_text(), *into), *out_of))
        settings = load(path, SETTINGS)
        transport = Transport()
        try:
            for name, channel in settings.channels.items():
                way = Way(transport, FreePace(), CLOCK, timedelta(seconds=10), KeptInMind())
                adapter = KINDS[channel.gateway].open(ChannelName(name), channel, way)
                (reply,) = await adapter.ask(["A10001"])
                assert isinstance(reply.answer, Paid), (channel.gateway, reply.answer)
        finally:
            await transport.close()
