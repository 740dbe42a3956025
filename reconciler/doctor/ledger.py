"""The ledger: whether the daemon can write it, is at its schema, and has room. Nothing is written to find out."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

from reconciler.control.place import socket_path
from reconciler.doctor.remark import Remark, apart, fault, warning, well
from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ops.control_client import ControlError, NoDaemon, call
from reconciler.ports import LedgerUnavailable
from reconciler.settings.model import Settings
from reconciler.settings.urls import sqlite_path
from reconciler.wiring import EnvironmentUnusable, owner_of

SUBJECT = "ledger"
DAEMON = "daemon"
FREE_BYTES_MIN = 256 * 1024 * 1024
FREE_BYTES_FEW = 1024 * 1024 * 1024
ANSWER_WITHIN_S = 5.0
_MAGIC = b"SQLite format 3\x00"
_TABLE = "alembic_version"

Free = Callable[[Path], int]
"""How many bytes are free where a path is."""


def free_bytes(path: Path) -> int:
    """Ask the file system."""
    return shutil.disk_usage(path).free


async def look(settings: Settings, free: Free = free_bytes) -> list[Remark]:
    """Look at the file (or the server), what is in it, and who leads by it."""
    path = sqlite_path(settings.ledger.url)
    remarks = list(_file(path, free)) if path is not None else []
    if path is not None and (not path.is_file() or _foreign(path)):
        known = None
    else:
        found, known = await _content(settings)
        remarks += found
    return [*remarks, *_daemon(settings, known)]


def _file(path: Path, free: Free) -> Iterator[Remark]:
    directory = path.absolute().parent
    if not path.exists():
        nearest = directory if directory.is_dir() else directory.parent
        yield _place(path, nearest)
        if nearest.is_dir():
            yield from _room(nearest, free)
        return
    if not path.is_file():
        yield fault(SUBJECT, f"{path} is no file", "name another with ledger.url")
        return
    if foreign := _foreign(path):
        yield fault(SUBJECT, f"{path} {foreign}", "name another file with ledger.url; the daemon makes it")
        return
    closed = [str(each) for each in (path, directory) if not os.access(each, os.W_OK)]
    if closed:
        remedy = f"run this as the daemon's own user, or chown {' '.join(closed)} to it"
        yield fault(SUBJECT, f"{' and '.join(closed)} cannot be written by this user", remedy)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) & ~stat.S_IRGRP:
        yield warning(SUBJECT, f"{path} is open to others, and has buyers' payments in it", f"chmod 0600 {path}")
    yield from _room(directory, free)


def _place(path: Path, nearest: Path) -> Remark:
    """Say whether the daemon could make the file: it makes one directory, no more."""
    if not nearest.is_dir():
        remedy = f"mkdir -m 0700 -p {path.absolute().parent}"
        return fault(SUBJECT, f"there is no {nearest} to make the ledger in", remedy)
    if not os.access(nearest, os.W_OK):
        remedy = f"run this as the daemon's own user, or chown {nearest} to it"
        return fault(SUBJECT, f"{nearest} cannot be written by this user, to make the ledger in", remedy)
    return well(SUBJECT, f"{path} is not there yet; the daemon makes it when it first starts")


def _foreign(path: Path) -> str:
    """Say why a file is no ledger, without the ways of opening it that would change it."""
    with path.open("rb") as file:
        magic = file.read(len(_MAGIC))
    if not magic:
        return ""
    if magic != _MAGIC:
        return "is no SQLite database"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error as error:
        return f"cannot be read: {error}"
    return "is another program's database" if names and _TABLE not in names else ""


def _room(directory: Path, free: Free) -> Iterator[Remark]:
    left = free(directory)
    said = f"{left // (1024 * 1024)} MB are free under {directory}"
    if left < FREE_BYTES_MIN:
        yield fault(SUBJECT, said, "make room: without it nothing can be recorded, and so nothing is settled")
    elif left < FREE_BYTES_FEW:
        yield warning(SUBJECT, said, "make room, or lower ledger.keep")


async def _content(settings: Settings) -> tuple[list[Remark], str | None]:
    """Open it to read; give what the last leader wrote of itself, too."""
    store = settings.ledger
    password, tls_ca = (secret.reveal() if secret else None for secret in (store.password, store.tls_ca))
    try:
        ledger = await open_ledger(store.url, password, create=False, tls=store.tls, tls_ca=tls_ca)
    except (LedgerUnavailable, ValueError) as error:
        text, remedy = apart(str(error), "look at ledger.url, and whether its server runs")
        if "start the daemon once" in remedy or "when it first starts" in remedy:
            return [well(SUBJECT, str(error))], None
        return [fault(SUBJECT, text, remedy)], None
    try:
        return await _read(ledger, settings)
    except LedgerUnavailable as error:
        return [fault(SUBJECT, str(error), "look at ledger.url, and whether its server runs")], None
    finally:
        await ledger.close()


async def _read(ledger: SqlLedger, settings: Settings) -> tuple[list[Remark], str | None]:
    try:
        await owner_of(ledger, settings)
    except EnvironmentUnusable as error:
        text, remedy = apart(str(error), "give each shop a ledger of its own")
        return [fault(SUBJECT, text, remedy)], None
    number, head = await ledger.head()
    said = f"at this version's schema, {number} entries, head {head[:16]}…"
    return [well(SUBJECT, said)], await ledger.mark("leader")


def _daemon(settings: Settings, leader: str | None) -> Iterator[Remark]:
    """Say who leads: the one that answers, or the last one there was."""
    path = socket_path(settings)
    try:
        status = call(path, "status", {}, ANSWER_WITHIN_S)
    except NoDaemon:
        yield _nobody(leader)
        return
    except ControlError as error:
        yield warning(DAEMON, f"something listens on {path} and does not answer: {error}", "look at its log")
        return
    troubles = status.get("troubles")
    said = "; ".join(map(str, troubles)) if isinstance(troubles, list) else ""
    if said or not status.get("leading"):
        yield fault(DAEMON, f"{status.get('who')} runs, and does not work: {said or 'not leading'}", "look at its log")
    elif status.get("mode") != settings.mode:
        remedy = "send it SIGHUP (systemctl reload), if the file is what you mean"
        yield warning(DAEMON, f"{status.get('who')} runs in mode {status.get('mode')}, not {settings.mode}", remedy)
    else:
        yield well(DAEMON, f"{status.get('who')} leads, mode {status.get('mode')}")


def _nobody(leader: str | None) -> Remark:
    if leader is None:
        return well(DAEMON, "none runs yet; `reconciler run` starts one")
    last = json.loads(leader)
    since = datetime.fromisoformat(last["since"]).astimezone().isoformat(timespec="seconds")
    return well(DAEMON, f"none runs now; the last one was {last['who']}, mode {last['mode']}, from {since}")
