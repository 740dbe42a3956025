from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from reconciler.sandbox import daemon as daemon_module
from reconciler.sandbox.daemon import daemon, open_cases
from reconciler.sandbox.errors import DaemonFailed

DEADLINE_S = 30.0
CASE = {"id": 3, "kind": "late_payment", "order_no": "A10001", "why": "paid, but closed", "opened_at": "x"}


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let this Python text stand for the program."""
    text = [""]
    monkeypatch.setattr(daemon_module, "_program", lambda *words: (sys.executable, "-c", text[0], *words))
    return text


async def started(process: asyncio.subprocess.Process, until: bytes) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        return (await process.stdout.readuntil(until)).decode()


async def sandbox_process(*words: str, directory: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "reconciler", "sandbox", *words),
        cwd=directory,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_sandbox_runs_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    process = await sandbox_process("--orders", "3", directory=tmp_path)
    said = await started(process, b"Ctrl-C ends it.")
    assert "run --config sandbox/reconciler.toml --mode enforce" in said
    url = next(line.split()[-1] for line in said.splitlines() if line.startswith("Trades"))
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
    process.send_signal(number)
    async with asyncio.timeout(DEADLINE_S):
        rest, complaint = await process.communicate()
    assert (process.returncode, complaint) == (0, b"")
    assert rest.decode().endswith("The sandbox has stopped.\n")
    with closing(sqlite3.connect(tmp_path / "sandbox" / "shop.db")) as connection:
        assert connection.execute("SELECT order_no FROM orders WHERE id = 1").fetchone() == ("A10001",)


async def test_a_sandbox_in_somebodys_directory_says_so_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "notes").write_text("")
    process = await sandbox_process(directory=tmp_path)
    async with asyncio.timeout(DEADLINE_S):
        _, complaint = await process.communicate()
    assert process.returncode == 2
    assert "give another --directory" in complaint.decode()
    assert "Traceback" not in complaint.decode()


async def test_a_port_that_is_taken_is_named(tmp_path: Path, unused_tcp_port_held: int) -> None:
    process = await sandbox_process("--port", str(unused_tcp_port_held), directory=tmp_path)
    async with asyncio.timeout(DEADLINE_S):
        _, complaint = await process.communicate()
    assert process.returncode == 2
    assert f"127.0.0.1:{unused_tcp_port_held}" in complaint.decode()
    assert "Traceback" not in complaint.decode()


@pytest.fixture
def unused_tcp_port_held() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_open_cases_are_read_as_the_command_prints_them(program: list[str], tmp_path: Path) -> None:
    listed = [CASE | {"ended_at": None}, CASE | {"id": 4, "ended_at": "2026-11-23T04:05:06+00:00"}]
    program[0] = f"import sys; print({json.dumps(listed)!r}); assert sys.argv[1:4] == ['cases', 'list', '--json']"
    (case,) = await open_cases(tmp_path / "reconciler.toml")
    assert (case.id, case.kind, case.order_no, case.why) == (3, "late_payment", "A10001", "paid, but closed")


@pytest.mark.parametrize("text", ["print({})", "print('nonsense')", "raise SystemExit(1)", "print('[{\"id\": 1}]')"])
async def test_a_list_of_cases_that_is_none_is_a_failure(program: list[str], tmp_path: Path, text: str) -> None:
    program[0] = text
    with pytest.raises(DaemonFailed, match="cases list"):
        await open_cases(tmp_path / "reconciler.toml")


async def test_a_command_that_hangs_is_killed(
    program: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "COMMAND_SECONDS", 0.1)
    program[0] = "import time; time.sleep(60)"
    with pytest.raises(DaemonFailed, match="did not end"):
        await open_cases(tmp_path / "reconciler.toml")


async def test_the_daemon_is_stopped_with_sigterm_whatever_happens(program: list[str], tmp_path: Path) -> None:
    program[0] = "import signal; signal.sigwait([signal.SIGTERM])"
    with pytest.raises(KeyError):
        async with daemon(tmp_path / "reconciler.toml") as process:
            raise KeyError
    assert process.returncode in {0, -signal.SIGTERM}


async def test_a_daemon_that_does_not_stop_is_killed_and_that_is_a_failure(
    program: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_module, "STOP_SECONDS", 0.2)
    ready = tmp_path / "ready"
    program[0] = (
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(60)"
    )
    with pytest.raises(DaemonFailed, match="was killed"):
        await running_until(ready, tmp_path / "reconciler.toml")
    assert ready.exists()


async def running_until(ready: Path, configuration: Path) -> None:
    async with asyncio.timeout(DEADLINE_S), daemon(configuration):
        while not ready.exists():  # noqa: ASYNC110 # another process makes it
            await asyncio.sleep(0.01)
