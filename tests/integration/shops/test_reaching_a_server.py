"""URLs lead to servers; what stands in the way is said in a line that names it, and never the password."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from reconciler.ports import ShopUnavailable
from reconciler.shops.sql import MappingError, open_shop
from tests.integration.databases import SERVERS, Database
from tests.integration.shops.made import mapping_of, shop_over

PASSWORD = b"p:w/d@%!\xc3\xa9"
TABLE = "CREATE TABLE orders (id BIGINT PRIMARY KEY, sn VARCHAR(64), price DECIMAL(10,2), status INT, created {})"
MOMENT = {"mysql": "DATETIME", "postgresql": "TIMESTAMP"}
SELECT = "SELECT"

pytestmark = pytest.mark.parametrize("kind", SERVERS)


@pytest.fixture
async def shop(base: Database, kind: str) -> Database:
    await base.script(TABLE.format(MOMENT[kind]))
    return base


@pytest.fixture
async def user(shop: Database, kind: str) -> AsyncIterator[str]:
    """Make a user with a password, whose name a URL has to escape; it may read and write the table."""
    name = f"{make_url(shop.url).database}"[-20:] + "@x"
    password = PASSWORD.decode()
    if kind == "mysql":
        await shop.script(
            f"CREATE USER `{name}`@`%%` IDENTIFIED BY '{password.replace('%', '%%')}'",
            f"GRANT SELECT, UPDATE ON `{make_url(shop.url).database}`.orders TO `{name}`@`%%`",
        )
        yield name
        await shop.script(f"DROP USER `{name}`@`%%`")
    else:
        await shop.script(
            f"CREATE USER \"{name}\" PASSWORD '{password}'", f'GRANT SELECT, UPDATE ON orders TO "{name}"'
        )
        yield name
        await shop.script(f'DROP OWNED BY "{name}"', f'DROP USER "{name}"')


def changed(url: str, **parts: object) -> dict[str, object]:
    return {"url": make_url(url).set(**parts).render_as_string(hide_password=False)}  # type: ignore[arg-type] # any part


async def refused(base: Database, shop: dict[str, object]) -> str:
    with pytest.raises(ShopUnavailable) as caught:
        await open_shop(mapping_of(base, shop={"password": PASSWORD} | shop))
    assert PASSWORD.decode() not in str(caught.value)
    assert str(caught.value).startswith("the shop's database cannot be asked: ")
    return str(caught.value).removeprefix("the shop's database cannot be asked: ")


async def test_a_user_whose_name_and_password_need_escaping_gets_in(shop: Database, user: str) -> None:
    parsed = make_url(shop.url)
    url = f"{parsed.drivername}://{quote(user, safe='')}@{parsed.host}:{parsed.port}/{parsed.database}"
    async with shop_over(shop, shop={"url": url, "password": PASSWORD}) as opened:
        assert await opened.read([]) == {}
        assert await opened.take_lock()


async def test_a_wrong_password_is_said_to_be_that(shop: Database, kind: str) -> None:
    url = changed(shop.url, username="reconciler_nobody")
    said = await refused(shop, url)
    if kind == "mysql":
        assert said.endswith("does not let reconciler_nobody in: wrong user or password")
    else:  # the server trusts the loopback address: it knows no password, only that there is no such user
        assert 'role "reconciler_nobody" does not exist' in said


async def test_a_database_that_does_not_exist_is_named(shop: Database) -> None:
    said = await refused(shop, changed(shop.url, database="reconciler_none") | {"password": None})
    assert said.endswith("has no database reconciler_none")


async def test_a_port_that_nobody_listens_at_is_named(shop: Database) -> None:
    said = await refused(shop, changed(shop.url, host="127.0.0.1", port=1))
    assert said == "nothing answers at 127.0.0.1:1 (connection refused)"


async def test_a_host_that_nobody_knows_is_named(shop: Database) -> None:
    said = await refused(shop, changed(shop.url, host="no-such-host.invalid") | {"tls": "off"})
    assert said.startswith("no host of the name no-such-host.invalid is known (")


async def test_a_table_that_may_not_be_read_is_named_with_who_may_not(shop: Database, user: str, kind: str) -> None:
    parsed = make_url(shop.url)
    async with shop_over(shop, shop={"url": changed(shop.url, username=user)["url"], "password": PASSWORD}) as opened:
        whom = f"`{user}`@`%%`" if kind == "mysql" else f'"{user}"'
        where = f"`{parsed.database}`.orders" if kind == "mysql" else "orders"
        await shop.script(f"REVOKE {SELECT} ON {where} FROM {whom}")
        with pytest.raises(ShopUnavailable, match=rf"does not let {user} do that: .*(SELECT|permission denied)"):
            await opened.newest()


async def test_a_socket_is_a_place_too(shop: Database, kind: str) -> None:
    parsed = make_url(shop.url)
    if kind == "mysql":
        (path,) = (await shop.rows("SELECT @@socket"))[0]
        query = f"unix_socket={path}"
    else:
        directory = (await shop.rows("SELECT current_setting('unix_socket_directories')"))[0][0].split(",")[0].strip()
        path = f"{directory}/.s.PGSQL.{parsed.port or 5432}"
        query = f"host={directory}" + (f"&port={parsed.port}" if parsed.port else "")
    if not Path(path).exists() or not os.access(path, os.W_OK):
        pytest.skip(f"the server's socket {path} is not on this machine")
    url = f"{parsed.drivername}://{parsed.username}@/{parsed.database}?{query}"
    try:
        async with shop_over(shop, shop={"url": url}) as opened:
            assert await opened.read([]) == {}
    except ShopUnavailable as error:
        pytest.skip(f"the server lets its socket in by other rules: {error}")


async def test_a_socket_that_is_not_there_is_named(shop: Database, kind: str, tmp_path: Path) -> None:
    parsed = make_url(shop.url)
    query = f"unix_socket={tmp_path}/none.sock" if kind == "mysql" else f"host={tmp_path}"
    said = await refused(shop, {"url": f"{parsed.drivername}://{parsed.username}@/{parsed.database}?{query}"})
    assert said.startswith(f"there is no socket {tmp_path}")


async def test_a_host_in_the_query_is_no_way_round_tls(shop: Database, kind: str) -> None:
    if kind == "mysql":
        pytest.skip("it knows no host in the query")
    with pytest.raises(MappingError, match=r"shop\.url: write the host before the database"):
        await open_shop(mapping_of(shop, shop={"url": "postgresql://u@/shop?host=db.example"}))
