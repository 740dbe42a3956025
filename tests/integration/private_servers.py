"""Servers that a test starts for itself, in a directory of its own: for what nobody should try on the machine's own."""

from __future__ import annotations

import contextlib
import os
import pwd
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
_DEBIAN: Final = {"mysql": "mariadb-server", "postgresql": "postgresql"}
_BINARIES: Final = {"mysql": ("mariadbd", "mariadb-install-db"), "postgresql": ("postgres", "initdb")}
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
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        raise RuntimeError(f"the server did not come up:\n{self.said()}")

    def said(self) -> str:
        """Give the end of what it said."""
        return (self.directory / "log").read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """End it, and leave nothing behind."""
        self.down()
        shutil.rmtree(self.directory, ignore_errors=True)


def missing_binaries(kind: str) -> str:
    """Name the package that brings what is not installed; empty where everything is."""
    return "" if all(_binary(name) for name in _BINARIES[kind]) else f"{_DEBIAN[kind]} (Debian's name)"


def start(kind: str, *, certificate: bytes = b"", key: bytes = b"") -> PrivateServer:
    """Start a server on a free port of the loopback address; with a certificate it offers TLS."""
    directory = Path(tempfile.mkdtemp(prefix="reconciler-server-"))
    for name, content in (("server.pem", certificate), ("server.key", key)):
        (directory / name).write_bytes(content)
        (directory / name).chmod(0o600)
    _give(directory, kind)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    make, serve, user = _commands(kind, directory, port, has_tls=bool(certificate))
    with (directory / "log").open("wb") as output:
        subprocess.run(  # noqa: S603 # a test's own words
            make, check=True, stdout=output, stderr=output, cwd=directory, user=_user(kind)
        )
    process = _served(serve, directory, _user(kind))
    url = f"{kind}://{user}@127.0.0.1:{port}"
    server = PrivateServer(url, directory, directory, tuple(serve), _user(kind), port, process)
    deadline = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return server
        time.sleep(0.05)
    said = server.said()
    server.stop()
    raise RuntimeError(f"{kind} did not come up:\n{said}")


def _served(command: Sequence[str], directory: Path, user: int | None) -> subprocess.Popen[bytes]:
    with (directory / "log").open("ab") as output:
        return subprocess.Popen(  # noqa: S603 # a test's own words
            command, stdout=output, stderr=output, cwd=directory, user=user
        )


def _commands(kind: str, directory: Path, port: int, *, has_tls: bool) -> tuple[list[str], list[str], str]:
    data = directory / "data"
    if kind == "mysql":
        ours = ["--no-defaults", f"--datadir={data}"]
        make = [_binary("mariadb-install-db"), *ours, "--auth-root-authentication-method=normal", "--skip-test-db"]
        tls = [f"--ssl-cert={directory}/server.pem", f"--ssl-key={directory}/server.key"] if has_tls else []
        serve = [
            _binary("mariadbd"),
            *ours,
            f"--port={port}",
            "--bind-address=127.0.0.1",
            f"--socket={directory}/mysqld.sock",
            f"--pid-file={directory}/pid",
            "--innodb-flush-log-at-trx-commit=2",  # the process may be killed, the machine stays up
            "--skip-log-bin",
            "--skip-name-resolve",
            *tls,
        ]
        return make, serve, "root"
    make = [_binary("initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"]
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": directory, "fsync": "off"}
    if has_tls:
        options |= {"ssl": "on", "ssl_cert_file": directory / "server.pem", "ssl_key_file": directory / "server.key"}
    settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return make, [_binary("postgres"), "-D", str(data), *settings], "postgres"


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
