"""Starts the program without importing it anew each time: everything is imported once, and each process is a fork.

A process of the program spends most of its start on imports; with hundreds of kills that is minutes of nothing. What a
fork runs is what the command runs, `reconciler.cli.main()`, with its own arguments, signals, output and exit code.

A fork's clock may be another than the machine's: `SystemClock.now` adds the seconds that stand in a file, which the
test may change at any time. Only wall time jumps by it, as with a real clock that is set.

Spoken to over a socket that this process is given as its only argument: a message with the two ends of pipes for
standard output and error starts a process; {"born": pid} and {"ended": pid, "code": code} come back.
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
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
OFFSET = struct.Struct("d")


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
                return
            child = os.fork()
            if child == 0:
                selector.close()
                test.close()
                live(json.loads(message), pipes)
            for pipe in pipes:
                os.close(pipe)
            test.send(json.dumps({"born": child}).encode())
            selector.register(os.pidfd_open(child), selectors.EVENT_READ, child)


def live(told: dict[str, str | list[str]], pipes: list[int]) -> None:
    """Be the program; ends in SystemExit, as the command does."""
    os.setpgid(0, 0)  # the terminal's Ctrl-C is not meant for it
    for number, pipe in enumerate(pipes, start=1):
        os.dup2(pipe, number)
        os.close(pipe)
    if told["clock"]:
        set_by(Path(str(told["clock"])))
    main([str(word) for word in told["arguments"]])
    sys.exit(0)


def set_by(path: Path) -> None:
    """Let wall time be ahead by the seconds in this file, whatever they are at the moment."""
    with path.open("rb") as file:
        seconds = mmap.mmap(file.fileno(), OFFSET.size, prot=mmap.PROT_READ)

    def now(_clock: SystemClock) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=OFFSET.unpack(seconds[:])[0])

    SystemClock.now = now  # type: ignore[assignment,method-assign] # the point of it


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with socket.socket(fileno=int(sys.argv[1])) as end:
        watch_over(end)
