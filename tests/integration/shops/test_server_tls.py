"""TLS to the shop's server: verified against an authority and a name, or refused with a line that says what is wrong.

On servers of the tests' own, which show a certificate made here.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import make_url, text

from reconciler.databases import Access
from reconciler.databases.network import tls_context
from reconciler.ports import ShopUnavailable
from reconciler.shops.sql import MappingError, SqlShop, open_shop
from tests.integration.authority import Authority
from tests.integration.databases import SERVERS, Database, database, database_on
from tests.integration.private_servers import PrivateServer, missing_binaries, start
from tests.integration.shops.made import mapping_of, shop_over

TABLE = "CREATE TABLE orders (id BIGINT PRIMARY KEY, sn VARCHAR(64), price DECIMAL(10,2), status INT, created {})"
MOMENT = {"mysql": "DATETIME", "postgresql": "TIMESTAMP"}
ENCRYPTED = {
    "mysql": "SELECT VARIABLE_VALUE <> '' FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_cipher'",
    "postgresql": "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
}

AUTHORITY, STRANGER = Authority("the shop's authority"), Authority("somebody else's authority")


@pytest.fixture(scope="module", params=SERVERS)
def private(request: pytest.FixtureRequest) -> Iterator[PrivateServer]:
    kind: str = request.param
    if missing := missing_binaries(kind):
        pytest.skip(f"{missing} is not installed: TLS is tried with a server of the test's own")
    certificate, key = AUTHORITY.server()
    server = start(kind, certificate=certificate, key=key)
    yield server
    server.stop()


@pytest.fixture
async def base(private: PrivateServer) -> AsyncIterator[Database]:
    kind = make_url(private.url).drivername
    async with database_on(kind, private.url) as made:
        await made.script(TABLE.format(MOMENT[kind]))
        yield made


def with_tls(**more: object) -> dict[str, object]:
    return {"tls": "verify", "tls_ca": AUTHORITY.pem} | more


async def is_encrypted(shop: SqlShop, kind: str) -> bool:
    async with shop._primary.connect() as connection:
        return bool((await connection.execute(text(ENCRYPTED[kind]))).scalar())


async def test_a_server_is_verified_and_spoken_to_under_tls(base: Database) -> None:
    async with shop_over(base, shop=with_tls()) as shop:
        assert await is_encrypted(shop, base.kind)
        assert await shop.take_lock()
        assert await shop.holds_lock()


async def test_a_loopback_address_is_spoken_to_in_the_clear_unless_told_otherwise(base: Database) -> None:
    async with shop_over(base) as shop:
        assert not await is_encrypted(shop, base.kind)
    async with shop_over(base, shop={"tls": "off"}) as shop:
        assert not await is_encrypted(shop, base.kind)


@pytest.mark.parametrize("authority", [STRANGER.pem, None], ids=["another authority", "the system's authorities"])
async def test_a_certificate_of_another_authority_is_refused(base: Database, authority: bytes | None) -> None:
    with pytest.raises(ShopUnavailable, match="shows a certificate that is not trusted: unable to get local issuer"):
        await open_shop(mapping_of(base, shop=with_tls(tls_ca=authority)))


async def test_a_certificate_of_another_name_is_refused(base: Database) -> None:
    url = make_url(base.url).set(host="localhost").render_as_string()
    with pytest.raises(
        ShopUnavailable, match="not trusted: Hostname mismatch, certificate is not valid for 'localhost'"
    ):
        await open_shop(mapping_of(base, shop=with_tls(url=url)))


async def test_init_reads_a_shop_over_tls_and_writes_down_how(base: Database, tmp_path: Path) -> None:
    name = "shop_order"
    await base.script(TABLE.format(MOMENT[base.kind]).replace("orders", name))
    authority, other, config = tmp_path / "ca.pem", tmp_path / "other.pem", tmp_path / "reconciler.toml"
    for path, pem in ((authority, AUTHORITY.pem), (other, STRANGER.pem), (tmp_path / "rot.pem", b"no certificate")):
        await asyncio.to_thread(path.write_bytes, pem)

    async def init(*words: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "reconciler", "init", "--url", base.url, "--config", str(config), *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    code, output = await init("--tls", "verify", "--tls-ca", str(other))
    assert code == 1
    assert "shows a certificate that is not trusted" in output
    assert not await asyncio.to_thread(config.exists)
    code, output = await init("--tls", "off", "--tls-ca", str(authority))
    assert (code, output) == (2, "--tls-ca is of no use with --tls off; leave one of them out\n")
    code, output = await init("--tls", "verify", "--tls-ca", str(tmp_path / "none.pem"))
    assert code == 2
    assert output.startswith("--tls-ca: there is no /")
    code, output = await init("--tls", "verify", "--tls-ca", str(tmp_path / "rot.pem"))
    assert code == 2
    assert output.startswith("--tls-ca: holds no certificate authority")
    code, output = await init("--tls", "verify", "--tls-ca", str(authority))
    assert code == 0, output
    shop = tomllib.loads(await asyncio.to_thread(config.read_text))["shop"]
    assert (shop["tls"], shop["tls_ca"]) == ("verify", f"file:{authority}")
    code, output = await init("--force")
    assert code == 0, output
    shop = tomllib.loads(await asyncio.to_thread(config.read_text))["shop"]
    assert not {"tls", "tls_ca", "password"} & shop.keys()


async def test_an_authority_that_is_none_is_the_settings_fault(base: Database) -> None:
    with pytest.raises(MappingError, match=r"shop\.tls_ca: holds no certificate authority"):
        await open_shop(mapping_of(base, shop=with_tls(tls_ca=b"no certificate")))


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_server_without_tls_is_refused_where_it_is_due(kind: str, tmp_path: object) -> None:
    async with database(kind, tmp_path) as base:  # type: ignore[arg-type] # no file is made
        offers = {"mysql": "SELECT @@have_ssl = 'YES'", "postgresql": "SELECT current_setting('ssl') = 'on'"}
        if (await base.rows(offers[kind]))[0][0]:
            pytest.skip("the server that the tests were given offers TLS")
        with pytest.raises(ShopUnavailable, match=r'offers no TLS; switch it on there, or set shop\.tls = "off"'):
            await open_shop(mapping_of(base, shop=with_tls()))


@pytest.mark.parametrize(
    ("host", "socket_path", "tls", "is_due"),
    [
        ("db.example", None, None, True),
        ("10.1.2.3", None, None, True),
        ("db.example", None, "off", False),
        ("127.0.0.1", None, None, False),
        ("::1", None, None, False),
        ("localhost", None, None, False),
        ("localhost", None, "verify", True),
        (None, "/run/mysqld/mysqld.sock", None, False),
        ("db.example", "/run/mysqld/mysqld.sock", None, False),
    ],
)
def test_other_hosts_are_verified_unless_told_otherwise(
    host: str | None, socket_path: str | None, tls: str | None, *, is_due: bool
) -> None:
    access = Access("mysql://x/y", None, tls, None, "shop.url", ZoneInfo("Asia/Shanghai"))
    context = tls_context(access, host=host, socket_path=socket_path)
    assert (context is not None) is is_due
    if context is not None:
        assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
