"""The examples of the pages work: the mapping fits its table, settings load, the unit's drop-in names real things."""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from reconciler.domain.money import Money
from reconciler.domain.order import Order, OrderKey, OrderState
from reconciler.gateways import SETTINGS
from reconciler.ops.clock import SystemClock
from reconciler.ports import Move, Moved, NotMoved
from reconciler.settings import Settings, parse
from reconciler.shops.sql import open_shop
from reconciler.wiring import shop_mapping
from tests.unit.docs.book import Book

ROOT = Path(__file__).parents[3]
MAP = ROOT / "docs" / "how-to" / "map-your-shop.md"
PAID_AT = datetime(2026, 11, 23, 16, tzinfo=UTC)


def _write(path: Path, private: RSAPrivateKey, *, public: bool) -> None:
    if public:
        path.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    else:
        path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("credentials")
    ours, theirs = (generate_private_key(65537, 2048) for _ in range(2))
    for name in ("alipay-app-key", "wechat-merchant-key"):
        _write(directory / name, ours, public=False)
    for name in ("alipay-public-key", "wechat-public-key"):
        _write(directory / name, theirs, public=True)
    return directory


@pytest.fixture
def settings(book: Book, credentials: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    (schema,) = book.blocks(MAP, "sql")
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.executescript(schema)
        shop.execute(
            "INSERT INTO shop_order (id, sn, pay_sn, total_fen, pay_type, add_time)"
            " VALUES (7, 'S7', 'P100007', 9900, 1, ?)",
            (int(PAID_AT.timestamp()) - 60,),
        )
        shop.commit()
    text = book.blocks(MAP, "toml")[0].replace("/srv/shop/data", str(tmp_path))
    return parse(text, SETTINGS)


async def test_the_example_of_map_your_shop_finds_and_settles_its_order_once(
    settings: Settings, tmp_path: Path
) -> None:
    shop = await open_shop(shop_mapping(settings, SystemClock()))
    try:
        (found,) = (await shop.candidates(await shop.before(PAID_AT), 10)).found
        order, (attempt,) = found.row, found.attempts
        assert isinstance(order, Order)
        assert (order.order_no, order.state, order.amount) == ("S7", OrderState.PENDING, Money(9900))
        assert (attempt.out_trade_no, attempt.channel) == ("P100007", "alipay-main")
        assert await shop.take_lock()
        move = Move("i", (order,), attempt.channel, attempt.out_trade_no, "2" * 28, order.amount, PAID_AT)
        assert await shop.settle(move) == Moved()
        assert isinstance(await shop.settle(move), NotMoved)
        assert set(await shop.read([OrderKey("7")])) == {"7"}
    finally:
        await shop.release()
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        row = database.execute("SELECT state, trade_no, paid_time, is_paid, update_time FROM shop_order").fetchone()
    assert row[:4] == (20, "2" * 28, int(PAID_AT.timestamp()), 1)
    assert row[4], "touched"


def test_the_update_that_the_page_shows_has_the_paid_time_of_its_example(book: Book) -> None:
    assert f"paid_time = {int(PAID_AT.timestamp())}" in book.pages[MAP]


def test_the_example_of_attempts_fits_the_model(book: Book, settings: Settings) -> None:
    mapped = tomllib.loads(book.blocks(MAP, "toml")[1])["shop"]["attempts"]
    attempts = type(settings.shop).model_fields["attempts"].annotation
    (model,) = (part for part in attempts.__args__ if part is not type(None))  # type: ignore[union-attr] # AttemptsMapping | None
    assert model.model_validate(mapped).order == "order_id"


def test_other_settings_that_pages_show_are_settings(book: Book, settings: Settings) -> None:
    page = ROOT / "docs" / "how-to" / "observe-then-enforce.md"
    (block,) = book.blocks(page, "toml")
    shown = type(settings.settle).model_validate(tomllib.loads(block)["settle"])
    assert (shown.review_over, shown.brake_per_hour) == (Money(500_000), 3)


def test_what_the_installation_names_is_in_the_project(book: Book) -> None:
    page = book.text("docs/how-to/install-as-a-service.md")
    unit = (ROOT / "reconciler.service").read_text()
    for path in ("requirements/runtime.txt", "config/reconciler.toml", "reconciler.service"):
        assert path in page
        assert (ROOT / path).is_file()
    for line in book.blocks(ROOT / "docs" / "how-to" / "install-as-a-service.md", "ini")[0].splitlines():
        assert not line.strip() or line.startswith(("[", "#")) or f"#{line}" in unit, line
    assert "ExecStart=/opt/reconciler/bin/reconciler run" in unit
