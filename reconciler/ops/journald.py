"""journald's native protocol: datagrams of fields, values of any bytes, large ones in a sealed memory file.

systemd.io/JOURNAL_NATIVE_PROTOCOL; sd_journal_send(3).
"""

from __future__ import annotations

import array
import fcntl
import os
import re
import socket
import struct
import sys
from collections.abc import Iterable
from errno import EMSGSIZE, ENOBUFS
from pathlib import Path
from typing import TextIO

from reconciler.ops.line import Record, message
from reconciler.ops.value import text_of

SOCKET = Path("/run/systemd/journal/socket")
IDENTIFIER = "reconciler"
SEND_TIMEOUT_S = 0.25
"""How long one line may hold up the daemon while journald is busy; after that the line goes elsewhere."""
FIELD_NAME_LENGTH_MAX = 64

_OURS = frozenset({"MESSAGE", "MESSAGE_ID", "PRIORITY", "SYSLOG_IDENTIFIER", "EVENT"})
_NOT_IN_NAMES = re.compile(r"[^A-Z0-9_]")


class Journal:
    """The way to journald: one connectionless socket, so that a journald that was restarted is found again."""

    def __init__(self, path: Path = SOCKET) -> None:
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(SEND_TIMEOUT_S)

    def send(self, payload: bytes) -> None:
        """Send one entry. Raises OSError where journald is not there or does not take it in time."""
        try:
            self._socket.sendto(payload, self._path)
        except OSError as error:
            if error.errno not in {EMSGSIZE, ENOBUFS}:
                raise
            self._send_large(payload)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def _send_large(self, payload: bytes) -> None:
        if sys.platform != "linux":
            raise OSError(EMSGSIZE, "too large for a datagram, and there are no memory files here")
        memory = os.memfd_create("reconciler-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(memory, "wb", closefd=False) as file:
                file.write(payload)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [memory]))
            self._socket.sendmsg([], [rights], 0, self._path)
        finally:
            os.close(memory)


def entry(record: Record) -> bytes:
    """Write an event as journald wants it: each field of ours in capitals, so that `journalctl ORDER_NO=A1` works."""
    fields = [
        ("MESSAGE", message(record)),
        ("MESSAGE_ID", record.message_id),
        ("PRIORITY", str(int(record.severity))),
        ("SYSLOG_IDENTIFIER", IDENTIFIER),
        ("EVENT", record.event),
    ]
    fields += [(field_name(name), text_of(value)) for name, value in record.fields.items()]
    return b"".join(_encoded(fields))


def field_name(name: str) -> str:
    """Give a field's name as journald takes it; one that is taken already gets `EVENT_` before it."""
    capitals = _NOT_IN_NAMES.sub("_", name.upper()).lstrip("_0123456789") or "FIELD"
    return (f"EVENT_{capitals}" if capitals in _OURS else capitals)[:FIELD_NAME_LENGTH_MAX]


def is_our_stderr(stream: TextIO) -> bool:
    """Whether journald reads this stream: systemd says so in JOURNAL_STREAM (systemd.exec(5))."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


def _encoded(fields: Iterable[tuple[str, str]]) -> Iterable[bytes]:
    for name, text in fields:
        value = text.encode(errors="backslashreplace")
        if b"\n" in value:
            yield name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
        else:
            yield name.encode() + b"=" + value + b"\n"
