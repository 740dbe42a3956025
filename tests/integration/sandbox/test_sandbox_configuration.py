from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reconciler.gateways import SETTINGS
from reconciler.ops.clock import SystemClock
from reconciler.sandbox.book import Book
from reconciler.sandbox.configuration import LAST_AGE_S, REVIEW_OVER_FEN, write_configuration
from reconciler.sandbox.directory import Place, fresh_place
from reconciler.sandbox.keys import Keys, keep_keys
from reconciler.sandbox.server import Serving, serve
from reconciler.settings import load


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


async def test_nothing_in_it_is_without_effect_and_no_secret_stands_in_it(place: Place, serving: Serving) -> None:
    path = write_configuration(place, serving)
    assert load(path, SETTINGS).without_effect() == ()
    assert "BEGIN" not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_it_is_for_watching_only_until_somebody_says_enforce(place: Place, serving: Serving) -> None:
    assert load(write_configuration(place, serving), SETTINGS).mode == "observe"
