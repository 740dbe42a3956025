"""Servers, nursery and town for what is broken on purpose."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from reconciler.ops.clock import SystemClock
from reconciler.sandbox.server import serve
from tests.acceptance.chaos.count import COUNTED, Count
from tests.acceptance.chaos.daemons import nursery
from tests.acceptance.chaos.shop import shop_database
from tests.acceptance.chaos.town import Reached, Town
from tests.acceptance.world import TellingBook
from tests.integration.databases import connected
from tests.integration.private_servers import PrivateServer, missing_binaries, start
from tests.kept_keys import kept_keys

SEED: Final = os.environ.get("RECONCILER_CHAOS_SEED", "20261124")
COUNT: Final = Count()
MAINTENANCE: Final = {"mysql": "mysql", "postgresql": "postgres"}


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], PrivateServer]]:
    """Give servers of our own, started when first asked for: nobody else minds what is done to them."""
    running: dict[str, PrivateServer] = {}

    def server(kind: str) -> PrivateServer:
        if missing := missing_binaries(kind):
            why = f"{kind}: {missing} is not installed; these tests restart a server of their own"
            if os.environ.get("CI"):
                pytest.fail(why)
            pytest.skip(why)
        if kind not in running:
            running[kind] = start(kind)
        return running[kind]

    yield server
    for each in running.values():
        each.stop()


@pytest.fixture
def server(kind: str, servers: Callable[[str], PrivateServer]) -> PrivateServer:
    """Give the server of this kind."""
    return servers(kind)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Draw what a test leaves to chance; what is drawn, and no more than that, comes again with the same seed."""
    print(f"RECONCILER_CHAOS_SEED={SEED} draws this again")  # noqa: T201 # shown by pytest where the test fails
    return random.Random(f"{SEED} {request.node.name}")  # noqa: S311 # moments, no secrets


@asynccontextmanager
async def database(kind: str, server: PrivateServer) -> AsyncIterator[str]:
    """Make a database, whose server may be another process by the time it is dropped; give its URL."""
    name = f"chaos_{secrets.token_hex(6)}"
    async with connected(f"{server.url}/{MAINTENANCE[kind]}") as admin:
        await admin.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield f"{server.url}/{name}"
    finally:
        async with connected(f"{server.url}/{MAINTENANCE[kind]}") as admin:
            await admin.exec_driver_sql(f"DROP DATABASE {name}{' WITH (FORCE)' if kind == 'postgresql' else ''}")


@pytest.fixture
async def town(
    kind: str, server: PrivateServer, tmp_path: Path, chance: random.Random, request: pytest.FixtureRequest
) -> AsyncIterator[Town]:
    """Give a town whose shop is on a server of this kind.

    Its ledger is a file, or on the same server where a test's `parametrize` says "server".
    """
    book = TellingBook()
    keys = await asyncio.to_thread(kept_keys, tmp_path / "keys")
    async with (
        database(kind, server) as shop_url,
        database(kind, server) as ledger_url,
        shop_database(kind, shop_url) as shop,
        serve(keys, book, SystemClock()) as serving,
        nursery() as born,
    ):
        world = Reached(tmp_path, serving, book, born.cradle)
        world.at = shop_url
        on_server = getattr(request, "param", "file") == "server"
        made = Town(world, shop, born, chance, ledger_url if on_server else f"sqlite:///{tmp_path}/ledger.db")
        yield made
    request.node.user_properties.append((COUNTED, dict(made.done)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "teardown":
        COUNT.add(report.user_properties)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if COUNT.done:
        terminalreporter.write_line(COUNT.told())


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Let a whole run fail that broke too little; where CI is set, for elsewhere a server may be missing."""
    options = session.config.option
    is_whole = session.config.args == ["tests/acceptance/chaos"] and not options.keyword and not options.collectonly
    if os.environ.get("CI") and is_whole and not hasattr(session.config, "workerinput") and COUNT.lacks():
        session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED
