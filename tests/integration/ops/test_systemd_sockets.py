"""journald and notify over real datagram sockets."""

from __future__ import annotations

import array
import io
import mmap
import os
import socket
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.events.running import DaemonFailed, LeadTaken
from reconciler.ops.journald import Journal, is_our_stderr
from reconciler.ops.log import configure
from reconciler.ops.notify import Notify
from reconciler.testing.clock import ManualClock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd's sockets are Linux's")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        yield listening


@pytest.fixture
def socket_path(server: socket.socket, tmp_path: Path) -> Path:
    path = tmp_path / "socket"
    server.bind(str(path))
    return path


@pytest.fixture
def journal(socket_path: Path) -> Iterator[Journal]:
    opened = Journal(socket_path)
    yield opened
    opened.close()


def test_a_small_entry_comes_as_a_datagram(server: socket.socket, journal: Journal) -> None:
    journal.send(b"MESSAGE=x\n")

    assert server.recv(1000) == b"MESSAGE=x\n"


def test_a_large_entry_comes_as_a_sealed_memory_file(server: socket.socket, journal: Journal) -> None:
    payload = b"MESSAGE=" + b"x" * 4_000_000 + b"\n"

    journal.send(payload)

    data, ancillary, _flags, _address = server.recvmsg(1000, socket.CMSG_SPACE(4))
    ((level, kind, rights),) = ancillary
    assert (data, level, kind) == (b"", socket.SOL_SOCKET, socket.SCM_RIGHTS)
    (descriptor,) = array.array("i", rights)
    try:
        with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as memory:
            assert memory[:] == payload
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, 0)
        with pytest.raises(PermissionError):
            os.pwrite(descriptor, b"y", 0)
    finally:
        os.close(descriptor)


def test_an_event_reaches_the_journal_with_its_fields(server: socket.socket, journal: Journal) -> None:
    log = configure("journald", clock=ManualClock(), stream=io.StringIO(), journal=journal)
    log.never_print(["hunter22"])

    log.emit(LeadTaken(epoch=7))
    log.emit(DaemonFailed(what="hunter22", traceback="Traceback\nline two"))
    log.close()

    first = server.recv(10_000).split(b"\n")
    assert b"EPOCH=7" in first
    assert b"PRIORITY=5" in first
    assert f"MESSAGE_ID={LeadTaken.message_id}".encode() in first
    second = server.recv(10_000)
    assert b"WHAT=***\n" in second
    assert b"TRACEBACK\n" + (18).to_bytes(8, "little") + b"Traceback\nline two\n" in second


def test_what_journald_does_not_take_goes_to_the_stream(server: socket.socket, socket_path: Path) -> None:
    stream = io.StringIO()
    log = configure("journald", clock=ManualClock(), stream=stream, journal=Journal(socket_path))
    server.close()

    log.emit(LeadTaken(epoch=7))
    log.close()

    assert "lead.taken" in stream.getvalue()
    assert log.lost == 0


def test_a_restarted_journald_is_found_again(tmp_path: Path) -> None:
    path, stream = tmp_path / "restarted", io.StringIO()
    log = configure("journald", clock=ManualClock(), stream=stream, journal=Journal(path))
    log.emit(LeadTaken(epoch=1))

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(5)
        listening.bind(str(path))
        log.emit(LeadTaken(epoch=2))
        assert b"EPOCH=2\n" in listening.recv(10_000)
    log.close()

    assert stream.getvalue().count("\n") == 1


def test_a_journald_that_does_not_read_holds_nothing_up(
    server: socket.socket, socket_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.ops.journald.SEND_TIMEOUT_S", 0.01)
    stream = io.StringIO()
    log = configure("journald", clock=ManualClock(), stream=stream, journal=Journal(socket_path))

    for epoch in range(2000):
        log.emit(LeadTaken(epoch=epoch))
        if stream.getvalue():
            break
    log.close()

    assert "lead.taken" in stream.getvalue()


def test_journald_is_taken_where_it_reads_our_stderr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "stderr").open("w") as stderr, (tmp_path / "other").open("w") as other:
        status = os.fstat(stderr.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")

        assert is_our_stderr(stderr)
        assert not is_our_stderr(other)
    assert not is_our_stderr(stderr)
    assert not is_our_stderr(io.StringIO())


def test_systemd_hears_every_word(server: socket.socket, socket_path: Path) -> None:
    notify = Notify.from_environment({"NOTIFY_SOCKET": str(socket_path)})

    sent = [
        notify.ready("watching\n1 order"),
        notify.reloading(12.5),
        notify.status("x" * 500),
        notify.watchdog(),
        notify.more_time(timedelta(seconds=30)),
        notify.stopping(),
    ]

    assert all(sent)
    assert [server.recv(1000) for _ in sent] == [
        b"READY=1\nSTATUS=watching 1 order",
        b"RELOADING=1\nMONOTONIC_USEC=12500000",
        b"STATUS=" + b"x" * 200,
        b"WATCHDOG=1",
        b"EXTEND_TIMEOUT_USEC=30000000",
        b"STOPPING=1",
    ]


def test_a_remark_ends_every_status_until_it_is_taken_back(server: socket.socket, socket_path: Path) -> None:
    notify = Notify(str(socket_path))

    notify.remark = "the last reload was refused"
    notify.ready("mode observe")
    notify.status("x" * 500)
    notify.stopping()
    notify.remark = ""
    notify.status("mode observe")

    assert [server.recv(1000) for _ in range(4)] == [
        b"READY=1\nSTATUS=mode observe; the last reload was refused",
        b"STATUS=" + b"x" * 171 + b"; the last reload was refused",
        b"STOPPING=1",
        b"STATUS=mode observe",
    ]


def test_an_abstract_socket_is_reached(server: socket.socket) -> None:
    name = f"reconciler-{uuid.uuid4().hex}"
    server.bind(f"\0{name}")

    assert Notify(f"@{name}").watchdog()
    assert server.recv(100) == b"WATCHDOG=1"


def test_where_nobody_supervises_nothing_is_said(tmp_path: Path) -> None:
    assert not Notify.from_environment({}).ready()
    assert not Notify.from_environment({"NOTIFY_SOCKET": ""}).ready()
    assert not Notify(str(tmp_path / "nobody")).ready()
    assert not Notify("vsock:2:1").ready()
    assert not Notify("@x").status("")


@pytest.mark.parametrize(
    ("environment", "every_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_petted_twice_as_often_as_it_must(environment: dict[str, str], every_s: float | None) -> None:
    assert Notify.from_environment({"NOTIFY_SOCKET": "/x", **environment}).watchdog_every_s == every_s
