"""Servers that a test starts for itself, in a directory of its own: for what nobody should try on the machine's own."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

UP_WITHIN_S: Final = 60.0
DOWN_WITHIN_S: Final = 20.0
STARTS_MAX: Final = 3
LOOK_EVERY_S: Final = 0.05
PORTS: Final = range(15_000, 32_000)
"""Below those that Linux gives to connections that go out."""
PORTS_TRIED_MAX: Final = 100
_DEBIAN: Final = {"mysql": "mariadb-server", "postgresql": "postgresql"}
_BINARIES: Final = {"mysql": ("mariadbd", "mariadb-install-db"), "postgresql": ("postgres", "initdb")}
OURS: Final = "ours"
"""The file with the server's number."""
_REAP: Final = f'cat >/dev/null; kill -KILL "$(cat "$1/{OURS}")" 2>/dev/null; sleep 0.2; rm -rf "$1"'
"""Waits for the end of its input, which is the end of whoever holds the other side."""
_ADMINS: Final = {"mysql": "root", "postgresql": "postgres"}
_USERS: Final = {"mysql": "mysql", "postgresql": "postgres"}


@dataclass(slots=True)
class PrivateServer:
    """A server process that is ours alone."""

    url: str
    """Without a database; a user without a password who may do anything."""
    directory: Path
    socket_directory: Path
    command: tuple[str, ...]
    user: int | None
    port: int
    process: subprocess.Popen[bytes]
    reaper: subprocess.Popen[bytes]

    def down(self, *, killed: bool = False) -> None:
        """End the process, in order or with SIGKILL; what was committed is kept either way."""
        if killed:
            self.process.kill()
        else:
            self.process.send_signal(signal.SIGTERM if "mysql" in self.url else signal.SIGINT)
        try:
            self.process.wait(DOWN_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def up(self) -> None:
        """Start it again, on the same port and data, and wait until it listens.

        It is started more than once where the sessions of a server that was killed still hold on to its memory.
        """
        deadline = time.monotonic() + UP_WITHIN_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                self.process = _served(self.command, self.directory, self.user)
            if self.answers():
                return
            time.sleep(LOOK_EVERY_S)
        raise RuntimeError(f"the server did not come up:\n{self.said()}")

    def answers(self) -> bool:
        """Whether it takes sessions. PostgreSQL listens sooner, and writes down when it has become ready."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            if "mysql" in self.url:
                return True
            lines = (self.directory / "data" / "postmaster.pid").read_text().split()
            return lines[:1] == [str(self.process.pid)] and lines[-1:] == ["ready"]
        return False

    def said(self) -> str:
        """Give the end of what it said."""
        return (self.directory / "log").read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """End it, and leave nothing behind."""
        self.down()
        self.reaper.communicate()


def missing_binaries(kind: str) -> str:
    """Name the package that brings what is not installed; empty where everything is."""
    return "" if all(_binary(name) for name in _BINARIES[kind]) else f"{_DEBIAN[kind]} (Debian's name)"


def start(kind: str, *, certificate: bytes = b"", key: bytes = b"") -> PrivateServer:
    """Start a server on a free port of the loopback address; with a certificate it offers TLS."""
    directory = Path(tempfile.mkdtemp(prefix="reconciler-server-"))
    reaper = _reaper(directory)
    for name, content in (("server.pem", certificate), ("server.key", key)):
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o600)
    _give(directory, kind)
    with (directory / "log").open("wb") as output:
        subprocess.run(  # noqa: S603 # a test's own words
            _making(kind, directory), check=True, stdout=output, stderr=output, cwd=directory, user=_user(kind)
        )
    for _ in range(STARTS_MAX):
        if server := _listening(kind, directory, reaper, has_tls=bool(certificate)):
            return server
    said = (directory / "log").read_text(errors="replace")[-2000:]
    reaper.communicate()
    raise RuntimeError(f"{kind} did not come up:\n{said}")


def _reaper(directory: Path) -> subprocess.Popen[bytes]:
    """Have the server killed, and its directory removed, when this process ends: however it ends."""
    command = ("/bin/sh", "-c", _REAP, "reaper", str(directory))
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)  # noqa: S603 # the words above


def _listening(kind: str, directory: Path, reaper: subprocess.Popen[bytes], *, has_tls: bool) -> PrivateServer | None:
    """Start a server on what was made, and wait until it listens; None where it ends, as when its port was taken."""
    port = _free_port()
    command = _serving(kind, directory, port, has_tls=has_tls)
    process = _served(command, directory, _user(kind))
    url = f"{kind}://{_ADMINS[kind]}@127.0.0.1:{port}"
    server = PrivateServer(url, directory, directory, tuple(command), _user(kind), port, process, reaper)
    deadline = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        if server.answers():
            return server
        time.sleep(LOOK_EVERY_S)
    server.down(killed=True)
    return None


def _free_port() -> int:
    """Give a port that is free, and that no connection going out is given meanwhile: those come from above."""
    for _ in range(PORTS_TRIED_MAX):
        port = secrets.choice(PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError(f"no port of {PORTS} is free")


def _served(command: Sequence[str], directory: Path, user: int | None) -> subprocess.Popen[bytes]:
    with (directory / "log").open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 # a test's own words
            command, stdout=output, stderr=output, cwd=directory, user=user
        )
    (directory / OURS).write_text(str(process.pid))
    return process


def _making(kind: str, directory: Path) -> list[str]:
    data = f"{directory}/data"
    if kind == "mysql":
        words = ["--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
        return [_binary("mariadb-install-db"), *words]
    words = ["-D", data, "-U", _ADMINS[kind], "--auth=trust", "--no-sync", "--encoding=UTF8"]
    return [_binary("initdb"), *words]


def _serving(kind: str, directory: Path, port: int, *, has_tls: bool) -> list[str]:
    if kind == "mysql":
        tls = [f"--ssl-cert={directory}/server.pem", f"--ssl-key={directory}/server.key"] if has_tls else []
        return [
            _binary("mariadbd"),
            "--no-defaults",
            f"--datadir={directory}/data",
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--socket={directory}/mysqld.sock",
            f"--pid-file={directory}/pid",
            "--innodb-flush-log-at-trx-commit=2",  # the process may be killed, the machine stays up:
            "--innodb-flush-method=nosync",  # nothing need reach the disk
            "--character-set-server=utf8mb4",  # as Debian's configuration has it, which we do without
            "--collation-server=utf8mb4_general_ci",
            "--skip-log-bin",
            "--skip-name-resolve",
            *tls,
        ]
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": directory, "fsync": "off"}
    if has_tls:
        options |= {"ssl": "on", "ssl_cert_file": directory / "server.pem", "ssl_key_file": directory / "server.key"}
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return [_binary("postgres"), "-D", f"{directory}/data", *settings]


def _binary(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    elsewhere: Sequence[Path] = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return found or (str(elsewhere[-1]) if elsewhere else "")


def _user(kind: str) -> int | None:
    """Give the server's own user where we are root: PostgreSQL refuses root."""
    return pwd.getpwnam(_USERS[kind]).pw_uid if os.geteuid() == 0 else None


def _give(directory: Path, kind: str) -> None:
    if os.geteuid() == 0:
        user = pwd.getpwnam(_USERS[kind])
        for path in (directory, *directory.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
