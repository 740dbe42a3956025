"""Starts the program without importing it anew each time: everything is imported once, and each process is a fork.

A process of the program spends most of its start on imports; with hundreds of kills that is minutes of nothing. What a
fork runs is what the command runs, `reconciler.cli.main()`, with its own arguments, signals, output and exit code.

A fork's clock may be another than the machine's, by two figures in a file, which the test may change at any time
(moving_clock.py): by how many seconds wall time was set wrong, and how many have passed beyond those that really have,
on wall and monotonic time alike.

Spoken to over a socket that this process is given as its only argument: a message with the two ends of pipes for
standard output and error starts a process; {"number": its, "born": pid} and {"ended": pid, "code": code} come back.
"""

from __future__ import annotations

import json
import mmap
import os
import selectors
import signal
import socket
import struct
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiosqlite
import alembic.command
import asyncmy
import asyncpg  # type: ignore[import-untyped] # it ships no types
import sqlalchemy.dialects.mysql.asyncmy
import sqlalchemy.dialects.postgresql.asyncpg
import sqlalchemy.dialects.sqlite.aiosqlite

import reconciler.cli.cases
import reconciler.cli.ledger
import reconciler.cli.run
import reconciler.cli.status
import reconciler.gateways.alipay
import reconciler.gateways.wechat
from reconciler.cli import main
from reconciler.ops.clock import SystemClock

ALREADY = (aiosqlite, alembic.command, asyncmy, asyncpg, sqlalchemy.dialects, reconciler.cli, reconciler.gateways)
"""Imported for the forks, which import it when it is first needed."""
MESSAGE_BYTES_MAX = 65536
MOVED = struct.Struct("dd")


def watch_over(test: socket.socket) -> None:
    """Fork a process for each message, and tell of each end, until the test has gone."""
    selector = selectors.DefaultSelector()
    selector.register(test, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.data is not None:
                selector.unregister(key.fd)
                os.close(key.fd)
                _, status = os.waitpid(key.data, 0)
                test.send(json.dumps({"ended": key.data, "code": os.waitstatus_to_exitcode(status)}).encode())
                continue
            message, pipes, _, _ = socket.recv_fds(test, MESSAGE_BYTES_MAX, 2)
            if not message:
                end_all(selector)
                return
            child = os.fork()
            if child == 0:
                selector.close()
                test.close()
                live(json.loads(message), pipes)
            for pipe in pipes:
                os.close(pipe)
            test.send(json.dumps({"number": json.loads(message)["number"], "born": child}).encode())
            selector.register(os.pidfd_open(child), selectors.EVENT_READ, child)


def end_all(selector: selectors.BaseSelector) -> None:
    """Leave nobody behind where a test was broken off."""
    for key in selector.get_map().values():
        if key.data is not None:
            os.kill(key.data, signal.SIGKILL)


def live(told: dict[str, Any], pipes: list[int]) -> None:
    """Be the program; ends in SystemExit, as the command does."""
    os.setpgid(0, 0)  # the terminal's Ctrl-C is not meant for it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(told["environment"])
    for number, pipe in enumerate(pipes, start=1):
        os.dup2(pipe, number)
        os.close(pipe)
    if told["clock"]:
        set_by(Path(told["clock"]))
    main(told["arguments"])
    sys.exit(0)


def set_by(path: Path) -> None:
    """Let the clock be moved by the seconds in this file, whatever they are at the moment."""
    with path.open("rb") as file:
        moved = mmap.mmap(file.fileno(), MOVED.size, prot=mmap.PROT_READ)

    def now(_clock: SystemClock) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=sum(MOVED.unpack(moved[:])))

    def monotonic(_clock: SystemClock) -> float:
        _wrong_by_s, passed_s = MOVED.unpack(moved[:])
        return time.monotonic() + float(passed_s)

    SystemClock.now, SystemClock.monotonic = now, monotonic  # type: ignore[assignment,method-assign] # the point of it


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with socket.socket(fileno=int(sys.argv[1])) as end:
        watch_over(end)
