"""A ledger's URL leads to its server: bytes of passwords, TLS, rights, and in words what stands in the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import make_url, text

from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ports import LedgerUnavailable
from reconciler.testing.ledger_examples import NOW
from tests.integration.authority import Authority
from tests.integration.databases import SERVERS, Database, database_on
from tests.integration.private_servers import PrivateServer, missing_binaries, start

PASSWORD = "p:w/d@é密码".encode()
USER = "ledger@x"
AUTHORITY, STRANGER = Authority("the ledger's authority"), Authority("somebody else's authority")
ENCRYPTED = {
    "mysql": "SELECT VARIABLE_VALUE <> '' FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_cipher'",
    "postgresql": "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
}
MAKE_USER = {
    "mysql": ("CREATE USER `{user}`@`%%` IDENTIFIED BY '{password}'", "GRANT ALL ON `{database}`.* TO `{user}`@`%%`"),
    "postgresql": ("CREATE USER \"{user}\" PASSWORD '{password}'", 'ALTER SCHEMA public OWNER TO "{user}"'),
}
READ_ONLY = {
    "mysql": "REVOKE INSERT ON `{database}`.* FROM `{user}`@`%%`",
    "postgresql": 'REVOKE INSERT ON entries FROM "{user}"',
}
ASK_PASSWORDS = "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"


@pytest.fixture(scope="module", params=SERVERS)
def private(request: pytest.FixtureRequest) -> Iterator[PrivateServer]:
    """Start a server that shows a certificate, and asks all but its owner for a password."""
    kind: str = request.param
    if missing := missing_binaries(kind):
        pytest.skip(f"{missing} is not installed: TLS is tried with a server of the test's own")
    certificate, key = AUTHORITY.server()
    server = start(kind, certificate=certificate, key=key)
    if kind == "postgresql":
        (server.directory / "data" / "pg_hba.conf").write_text(ASK_PASSWORDS)
    yield server
    server.stop()


@pytest.fixture
async def base(private: PrivateServer) -> AsyncIterator[Database]:
    kind = make_url(private.url).drivername
    async with database_on(kind, private.url) as made:
        if kind == "postgresql":
            await made.script("SELECT pg_reload_conf()")
        yield made


@pytest.fixture
async def user(base: Database) -> AsyncIterator[str]:
    """Make a user with a password, who may do anything in this one database; give its URL."""
    await base.script(*(filled(statement, base) for statement in MAKE_USER[base.kind]))
    yield make_url(base.url).set(username=USER).render_as_string()
    if base.kind == "mysql":
        await base.script(f"DROP USER `{USER}`@`%%`")
    else:
        await base.script(f'DROP OWNED BY "{USER}" CASCADE', f'DROP USER "{USER}"')


def filled(statement: str, base: Database) -> str:
    return statement.format(user=USER, password=PASSWORD.decode(), database=make_url(base.url).database)


@asynccontextmanager
async def opened(url: str, password: bytes | None = None, **tls: object) -> AsyncIterator[SqlLedger]:
    ledger = await open_ledger(url, password, **tls)  # type: ignore[arg-type] # tls and tls_ca
    try:
        yield ledger
    finally:
        await ledger.close()


async def are_encrypted(ledger: SqlLedger, kind: str) -> set[bool]:
    found = set()
    for engine in (ledger._engines.write, ledger._engines.read):
        async with engine.connect() as connection:
            found.add(bool((await connection.execute(text(ENCRYPTED[kind]))).scalar()))
    return found


async def test_a_password_in_any_script_lets_its_user_in_and_never_shows(base: Database, user: str) -> None:
    async with opened(user, PASSWORD) as ledger:
        assert await ledger.lead("first", NOW) == 1
    with pytest.raises(LedgerUnavailable, match=rf"does not let {USER} in: wrong user or password") as caught:
        await open_ledger(user, PASSWORD + b"?")
    assert PASSWORD.decode() not in str(caught.value)


async def test_a_server_is_verified_and_spoken_to_under_tls(base: Database) -> None:
    async with opened(base.url, tls="verify", tls_ca=AUTHORITY.pem) as ledger:
        assert await are_encrypted(ledger, base.kind) == {True}
        assert await ledger.lead("first", NOW) == 1


@pytest.mark.parametrize("tls", [None, "off"])
async def test_a_loopback_address_is_spoken_to_in_the_clear_unless_told_otherwise(
    base: Database, tls: str | None
) -> None:
    async with opened(base.url, tls=tls) as ledger:
        assert await are_encrypted(ledger, base.kind) == {False}


@pytest.mark.parametrize("authority", [STRANGER.pem, None], ids=["another authority", "the system's authorities"])
async def test_a_certificate_of_another_authority_is_refused(base: Database, authority: bytes | None) -> None:
    with pytest.raises(LedgerUnavailable, match="shows a certificate that is not trusted: unable to get local issuer"):
        await open_ledger(base.url, tls="verify", tls_ca=authority)


async def test_an_authority_that_is_none_is_the_settings_fault(base: Database) -> None:
    with pytest.raises(LedgerUnavailable, match=r"ledger\.tls_ca: holds no certificate authority"):
        await open_ledger(base.url, tls="verify", tls_ca=b"no certificate")


async def test_a_user_who_lacks_a_right_is_told_which(base: Database, user: str) -> None:
    if base.kind == "postgresql":
        await base.script("ALTER SCHEMA public OWNER TO postgres")
        with pytest.raises(LedgerUnavailable, match=rf"does not let {USER} do that: permission denied for schema"):
            await open_ledger(user, PASSWORD)
        await base.script(f'ALTER SCHEMA public OWNER TO "{USER}"')
    async with opened(user, PASSWORD) as ledger:
        await base.script(filled(READ_ONLY[base.kind], base))
        if base.kind == "mysql":
            await base.script("FLUSH PRIVILEGES")
            await ledger._engines.write.dispose()
        with pytest.raises(LedgerUnavailable, match=rf"does not let {USER} do that: .*(INSERT|permission denied)"):
            await ledger.lead("first", NOW)


async def test_a_database_that_does_not_exist_is_named(base: Database) -> None:
    url = make_url(base.url).set(database="reconciler_none").render_as_string()
    with pytest.raises(LedgerUnavailable, match="has no database reconciler_none"):
        await open_ledger(url)


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "postgresql", "postgres"])
async def test_a_port_that_nobody_listens_at_is_named(scheme: str) -> None:
    with pytest.raises(LedgerUnavailable, match=r"nothing answers at 127\.0\.0\.1:1 \(connection refused\)") as caught:
        await open_ledger(f"{scheme}://me@127.0.0.1:1/ledger", b"hunter2")
    assert "hunter2" not in str(caught.value)
