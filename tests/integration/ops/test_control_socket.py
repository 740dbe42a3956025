"""The operator's control socket, with its real client."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reconciler.ops import control
from reconciler.ops.control import BODY_BYTES_MAX, CommandRefused, ControlServer, ControlTaken
from reconciler.ops.control_client import CommandFailed, NoDaemon, call


async def echo(arguments: dict[str, object]) -> dict[str, object]:
    return {"heard": arguments}


async def refuse(_arguments: dict[str, object]) -> dict[str, object]:
    raise CommandRefused("in observe mode nothing is approved")


async def fail(_arguments: dict[str, object]) -> dict[str, object]:
    raise ZeroDivisionError


HANDLERS = {"echo": echo, "refuse": refuse, "fail": fail}


@asynccontextmanager
async def listening(path: Path, handlers: dict[str, control.Handler] | None = None) -> AsyncIterator[None]:
    server = ControlServer(path, handlers or dict(HANDLERS))
    await server.start()
    try:
        yield
    finally:
        await server.stop()


async def told(path: Path, command: str, timeout_s: float = 5, **arguments: object) -> dict[str, object]:
    return await asyncio.to_thread(call, path, command, arguments, timeout_s)


async def raw(path: Path, request: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


async def test_a_command_is_carried_out_with_the_name_of_who_asks(path: Path) -> None:
    async with listening(path):
        answer = await told(path, "echo", order="A1", by="mallory")

    heard = answer["heard"]
    assert isinstance(heard, dict)
    assert heard["order"] == "A1"
    assert heard["by"].endswith(f"(uid {os.geteuid()}, pid {os.getpid()})")


async def test_only_its_owner_can_open_the_socket(path: Path) -> None:
    async with listening(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_another_user_is_turned_away_whatever_the_mode_says(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "_credentials", lambda _socket: (4242, os.geteuid() + 1))
    async with listening(path):
        with pytest.raises(CommandFailed, match="may not give commands") as failed:
            await told(path, "echo")

    assert failed.value.status == 403


async def test_what_cannot_be_done_comes_back_with_its_reason(path: Path) -> None:
    async with listening(path):
        with pytest.raises(CommandFailed, match="in observe mode") as refused:
            await told(path, "refuse")
        with pytest.raises(CommandFailed, match="there are: echo, fail, refuse") as unknown:
            await told(path, "no/such")

    assert (refused.value.status, unknown.value.status) == (409, 404)


async def test_a_fault_of_ours_is_logged_and_the_next_command_is_carried_out(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(path):
        with caplog.at_level(logging.ERROR), pytest.raises(CommandFailed, match="its log says why"):
            await told(path, "fail")
        assert "heard" in await told(path, "echo")

    assert any(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)


@pytest.mark.parametrize("body", [b"[1]", b"{", b"[" * 5000, b"\xff", b'"x"'])
async def test_arguments_that_are_no_object_are_refused(path: Path, body: bytes) -> None:
    request = b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    async with listening(path):
        answer = await raw(path, request)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b'{"error": "the arguments are not a JSON object"}')


async def test_no_arguments_are_an_empty_object(path: Path) -> None:
    async with listening(path):
        answer = await raw(path, b"POST /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_is_too_large_is_refused(path: Path) -> None:
    async with listening(path):
        with pytest.raises(CommandFailed) as failed:
            await told(path, "echo", text="x" * BODY_BYTES_MAX)

    assert failed.value.status == 413


async def test_other_methods_are_refused_in_json(path: Path) -> None:
    async with listening(path):
        answer = await raw(path, b"GET /v1/echo HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 405 ")
    assert answer.endswith(b'{"error": "Method Not Allowed"}')


async def test_more_commands_at_once_than_fit_are_told_to_come_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "COMMANDS_AT_ONCE_MAX", 1)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_arguments: dict[str, object]) -> dict[str, object]:
        begun.set()
        await go_on.wait()
        return {}

    async with listening(path, {"slow": slow}):
        first = asyncio.create_task(told(path, "slow"))
        await begun.wait()
        with pytest.raises(CommandFailed, match="try again") as second:
            await told(path, "slow")
        go_on.set()
        assert await first == {}

    assert second.value.status == 503


async def test_a_client_that_gives_up_does_not_cut_the_command_off(path: Path) -> None:
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(_arguments: dict[str, object]) -> dict[str, object]:
        begun.set()
        await go_on.wait()
        done.set()
        return {}

    async with listening(path, {"slow": slow}):
        with pytest.raises(CommandFailed, match="may still be carried out"):
            await told(path, "slow", timeout_s=0.1)
        assert begun.is_set()
        go_on.set()
        await asyncio.wait_for(done.wait(), 5)


async def test_without_a_daemon_the_client_says_so(path: Path) -> None:
    with pytest.raises(NoDaemon):
        await told(path, "echo")
    async with listening(path):
        pass
    assert not path.exists()
    with pytest.raises(NoDaemon):
        await told(path, "echo")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "ended the conversation"),
        (b"SSH-2.0-x\r\n", "ended the conversation"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]", "not a JSON object"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<p>", "not a JSON object"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 3\r\n\r\n<p>", "failed with 500"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 99, "longer than"),
    ],
)
async def test_an_answer_that_is_none_is_a_failed_command(
    path: Path, answer: bytes, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.ops.control_client.ANSWER_BYTES_MAX", 50)

    async def stranger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    path.parent.mkdir()
    async with await asyncio.start_unix_server(stranger, str(path)):
        with pytest.raises(CommandFailed, match=says):
            await told(path, "echo")


async def test_a_socket_that_cannot_be_reached_names_who_can(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="use root, or the daemon's own user"):
        await told(tmp_path / ("x" * 150), "echo")


async def test_a_socket_that_has_become_anothers_is_not_removed_at_the_end(path: Path) -> None:
    async with listening(path):
        path.unlink()
        path.write_text("another's")

    assert path.read_text() == "another's"


async def test_who_has_no_name_is_known_by_number(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_uid: int) -> None:
        raise KeyError

    monkeypatch.setattr("pwd.getpwuid", nobody)
    async with listening(path):
        answer = await told(path, "echo")

    assert f"unnamed (uid {os.geteuid()}" in str(answer)


async def test_a_stale_socket_is_taken_over(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with pytest.raises(NoDaemon):
        await told(path, "echo")

    async with listening(path):
        assert "heard" in await told(path, "echo")


async def test_a_socket_that_answers_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        stranger.listen()

        with pytest.raises(ControlTaken, match="somebody answers"):
            await ControlServer(path, {}).start()

    assert path.exists()


async def test_a_second_daemon_does_not_take_the_first_ones_socket(path: Path) -> None:
    async with listening(path):
        with pytest.raises(ControlTaken, match="another daemon"):
            await ControlServer(path, {}).start()

        assert "heard" in await told(path, "echo")


async def test_a_file_that_is_no_socket_is_never_removed(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")

    with pytest.raises(ControlTaken, match="no socket"):
        await ControlServer(path, {}).start()

    assert path.read_text() == "precious"


async def test_a_path_too_long_is_an_oserror_that_leaves_the_lock_free(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 150)
    server = ControlServer(path, {})

    for _ in range(2):
        with pytest.raises(OSError, match="too long"):
            await server.start()
