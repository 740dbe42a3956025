"""The lock file: one daemon per database and table, whatever path leads there."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from reconciler.domain.order import OrderKey
from reconciler.ports import ShopUnavailable
from reconciler.shops.sql import SqlShop

Opens = Callable[..., Awaitable[SqlShop]]
NAME = ".shop.db.orders.reconciler-lock"
HOLDER = """
import asyncio, sys
from zoneinfo import ZoneInfo
from reconciler.shops.sql import OrdersMapping, ShopMapping, States, open_shop
from reconciler.testing.clock import ManualClock

async def main():
    orders = OrdersMapping("orders", "id", "sn", "price", "status", "created", States((1,), (2,), 2), out_trade_no="sn")
    url = f"sqlite:///{sys.argv[1]}"
    shop = await open_shop(ShopMapping(url, orders, {"a": ("3",)}, ManualClock(), ZoneInfo("UTC")))
    print(await shop.take_lock(), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _orders(database: sqlite3.Connection) -> None:
    for name in ("orders", "other"):
        database.execute(
            f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, sn TEXT, price DECIMAL, status INT, created DATETIME)"
        )


async def test_a_daemon_that_is_killed_leaves_the_lock_to_the_next_at_once(path: Path, opens: Opens) -> None:
    first = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(path), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert first.stdout is not None
    assert await first.stdout.readline() == b"True\n"
    second = await opens()
    assert not await second.take_lock()
    first.kill()
    await first.wait()
    assert await second.take_lock()
    assert await second.holds_lock()


async def test_two_paths_to_one_database_meet_at_one_lock(path: Path, tmp_path: Path, opens: Opens) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(path)
    assert await (await opens()).take_lock()
    assert not await (await opens(shop={"url": f"sqlite:///{link}"})).take_lock()


async def test_another_table_of_the_same_database_has_a_lock_of_its_own(opens: Opens) -> None:
    assert await (await opens()).take_lock()
    assert not await (await opens(table="main.orders")).take_lock()
    assert await (await opens(table="other")).take_lock()


async def test_the_file_is_the_owners_alone_and_stays(path: Path, opens: Opens) -> None:
    shop = await opens()
    assert await shop.take_lock()
    await shop.release()
    assert stat.S_IMODE((path.parent / NAME).stat().st_mode) == 0o600


async def test_a_lock_file_that_was_replaced_is_not_ours_any_more(path: Path, opens: Opens) -> None:
    shop, rival = await opens(), await opens()
    assert await shop.take_lock()
    (path.parent / NAME).unlink()
    assert not await shop.holds_lock()
    assert await rival.take_lock()
    assert not await shop.take_lock()


async def test_a_symlink_in_the_place_of_the_lock_is_not_followed(path: Path, tmp_path: Path, opens: Opens) -> None:
    (path.parent / NAME).symlink_to(tmp_path / "victim")
    with pytest.raises(ShopUnavailable, match="lock file"):
        await (await opens()).take_lock()
    assert not (tmp_path / "victim").exists()


async def test_the_lock_is_not_handed_to_children(opens: Opens) -> None:
    shop = await opens()
    assert await shop.take_lock()
    child = await asyncio.create_subprocess_exec("sleep", "60", close_fds=False)
    try:
        await shop.release()
        assert await (await opens()).take_lock()
    finally:
        child.kill()
        await child.wait()


async def test_the_lock_comes_back_after_a_release(opens: Opens) -> None:
    shop = await opens()
    assert await shop.take_lock()
    await shop.release()
    assert not await shop.holds_lock()
    assert await shop.take_lock()
    assert await shop.holds_lock()


INSERT = "INSERT INTO orders VALUES (1, ?, '9.00', 1, '2026-03-01 12:00:00')"


async def number_of_order(shop: SqlShop) -> str:
    return (await shop.read([OrderKey("1")]))[OrderKey("1")].order_no


@pytest.fixture
def restored(path: Path, tmp_path: Path, database: sqlite3.Connection) -> Path:
    """Make a copy with another order in it, to be put in the database's place."""
    restored = tmp_path / "restored.db"
    shutil.copy(path, restored)
    copy = sqlite3.connect(restored, isolation_level=None)
    copy.execute(INSERT, ("restored",))
    copy.close()
    database.execute(INSERT, ("old",))
    return restored


async def test_a_database_that_was_replaced_is_not_ours_until_it_is_taken_anew(
    path: Path, restored: Path, opens: Opens
) -> None:
    shop = await opens()
    assert await shop.take_lock()
    assert await number_of_order(shop) == "old"
    restored.rename(path)
    assert not await shop.holds_lock()
    assert await shop.take_lock()
    assert await shop.holds_lock()
    assert await number_of_order(shop) == "restored"


async def test_nothing_is_read_or_taken_from_a_file_that_was_replaced_before_the_lock(
    path: Path, restored: Path, opens: Opens
) -> None:
    shop = await opens()
    assert await number_of_order(shop) == "old"
    restored.rename(path)
    assert await number_of_order(shop) == "restored"
    assert await shop.take_lock()
    assert await shop.holds_lock()


async def test_a_link_that_leads_elsewhere_now_is_another_database(path: Path, restored: Path, opens: Opens) -> None:
    link = path.parent / "link.db"
    link.symlink_to(path)
    shop = await opens(shop={"url": f"sqlite:///{link}"})
    assert await shop.take_lock()
    link.unlink()
    link.symlink_to(restored)
    assert not await shop.holds_lock()
    assert await shop.take_lock()
    assert not await (await opens(shop={"url": f"sqlite:///{restored}"})).take_lock()


async def test_a_database_that_is_gone_is_neither_ours_nor_read(path: Path, opens: Opens) -> None:
    shop = await opens()
    assert await shop.take_lock()
    path.rename(path.with_name("away.db"))
    assert not await shop.holds_lock()
    with pytest.raises(ShopUnavailable):
        await shop.read([OrderKey("1")])
    with pytest.raises(ShopUnavailable):
        await shop.take_lock()
    assert not path.exists()
    path.with_name("away.db").rename(path)
    assert await shop.take_lock()


by_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@by_root
@pytest.mark.parametrize(("mode", "lock_mode"), [(0o600, 0o600), (0o644, 0o600), (0o664, 0o660)])
async def test_roots_lock_file_belongs_to_the_databases_owner(
    path: Path, opens: Opens, mode: int, lock_mode: int
) -> None:
    os.chown(path, 12345, 12346)
    path.chmod(mode)
    shop = await opens()
    assert await shop.take_lock()
    status = (path.parent / NAME).stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12345, 12346, lock_mode)


@by_root
async def test_a_file_of_roots_that_was_slipped_in_is_not_given_away(path: Path, tmp_path: Path, opens: Opens) -> None:
    os.chown(path, 12345, 12346)
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    (path.parent / NAME).hardlink_to(secret)
    assert await (await opens()).take_lock()
    assert (secret.stat().st_uid, secret.stat().st_gid) == (0, 0)
