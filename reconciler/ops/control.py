"""The operator's control socket: what a command asks the daemon to do, over HTTP on a Unix socket.

`POST /v1/{command}` takes a JSON object and gives one; an error is `{"error": "…"}`.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pwd
import socket
import stat
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NoReturn

from aiohttp import web

BODY_BYTES_MAX = 64 * 1024
COMMANDS_AT_ONCE_MAX = 16
PROBE_S = 1.0
SHUTDOWN_S = 5.0

Handler = Callable[[dict[str, object]], Awaitable[dict[str, object]]]
"""Takes the arguments, with `by` (who asks, as the kernel says: `root (uid 0, pid 4242)`) among them."""

_CREDENTIALS = struct.Struct("3i")


class ControlTaken(OSError):
    """Another daemon answers on this socket, or something that is no socket lies there."""


class CommandRefused(Exception):
    """A handler's word that the command cannot be carried out; the text says why and what to do. Status 409."""


class ControlServer:
    """Listens on a Unix socket that only root and the daemon's own user may use (0600, checked by SO_PEERCRED too)."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._running = asyncio.Semaphore(COMMANDS_AT_ONCE_MAX)
        self._runner: web.AppRunner | None = None
        self._lock: int | None = None
        self._inode: int | None = None

    async def start(self) -> None:
        """Listen. A stale socket is removed; one that answers raises ControlTaken, any other fault another OSError."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _locked(self._path.with_name(f"{self._path.name}.lock"))
        listener: socket.socket | None = None
        try:
            _remove_stale(self._path)
            listener = _bound(self._path)
            self._inode = self._path.stat().st_ino
            await self._serve(listener)
        except BaseException:
            if listener is not None:
                listener.close()
            await self.stop()
            raise

    async def stop(self) -> None:
        """Finish the commands under way, and remove the socket where it is still ours."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._inode is not None:
            if _inode(self._path) == self._inode:
                self._path.unlink(missing_ok=True)
            self._inode = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _serve(self, listener: socket.socket) -> None:
        application = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_errors_as_json])
        application.router.add_post("/v1/{command}", self._carry_out)
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S, keepalive_timeout=0
        )
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def _carry_out(self, request: web.Request) -> web.Response:
        by = _peer(request)
        handler = self._handlers.get(request.match_info["command"])
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            _refuse(404, f"no command {request.match_info['command'][:80]!r} here; there are: {known}")
        arguments = _object(await request.read())
        arguments["by"] = by
        if self._running.locked():
            _refuse(503, f"{COMMANDS_AT_ONCE_MAX} commands are under way already; try again")
        async with self._running:  # and not cut off by a timeout of ours: half a command is worse than a slow one
            try:
                answer = await handler(arguments)
            except CommandRefused as refusal:
                _refuse(409, str(refusal))
        return web.json_response(answer)


class _Refusal(web.HTTPException):
    def __init__(self, status: int, error: str) -> None:
        self.status_code = status
        super().__init__(text=json.dumps({"error": error}), content_type="application/json")


def _refuse(status: int, error: str) -> NoReturn:
    raise _Refusal(status, error)


@web.middleware
async def _errors_as_json(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except _Refusal:
        raise
    except web.HTTPException as error:  # aiohttp's own: no such path, body too large
        return web.json_response({"error": error.reason}, status=error.status)


def _object(body: bytes) -> dict[str, object]:
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        _refuse(400, "the arguments are not a JSON object")
    return value


def _peer(request: web.Request) -> str:
    """Say who asks. Only root and our own user may, whatever the file's mode has become."""
    connection = request.get_extra_info("socket")
    if connection is None:
        _refuse(400, "the connection is gone")
    if sys.platform != "linux":
        return "whoever may open the socket"  # its mode is what protects it there
    pid, uid = _credentials(connection)
    if uid not in {0, os.geteuid()}:
        _refuse(403, f"uid {uid} may not give commands; use root, or the daemon's own user")
    return f"{_user_name(uid)} (uid {uid}, pid {pid})"


def _credentials(connection: socket.socket) -> tuple[int, int]:
    """Give the peer's pid and uid as they were when it connected (unix(7), SO_PEERCRED)."""
    pid, uid, _gid = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return pid, uid


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return "unnamed"


def _locked(path: Path) -> int:
    """Hold the lock file beside the socket, so that two daemons that start at once do not remove each other's."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise ControlTaken(f"{path}: another daemon holds it; each daemon needs a control socket of its own") from None
    return lock


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ControlTaken(f"{path} is no socket; it is not removed")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_S)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except TimeoutError:
            pass  # somebody listens, and is slow
    raise ControlTaken(f"{path}: somebody answers there")


def _bound(path: Path) -> socket.socket:
    """Bind, then narrow the mode, then listen: until it listens nobody can connect."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(COMMANDS_AT_ONCE_MAX)
        listener.setblocking(False)  # noqa: FBT003 # the standard library's own signature
    except BaseException:
        listener.close()
        raise
    return listener


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except FileNotFoundError:
        return None
