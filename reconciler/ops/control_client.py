"""How a command reaches the daemon: a plain HTTP client over the control socket, from the standard library."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

ANSWER_BYTES_MAX = 16 * 1024 * 1024


class ControlError(Exception):
    """The daemon was not asked, or did not do it; the text says why.

    ControlError
    ├── NoDaemon          nobody listens on the socket
    └── CommandFailed     the daemon's own word, or silence
    """


class NoDaemon(ControlError):
    """No daemon listens on this socket."""


class CommandFailed(ControlError):
    """The daemon refused, failed, or did not answer in time."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        """The HTTP status; None where no answer came, and what was asked may still be carried out."""


def call(socket_path: Path, command: str, arguments: Mapping[str, object], timeout_s: float = 60) -> dict[str, object]:
    """Have the daemon carry out a command, and give its answer. Raises NoDaemon and CommandFailed."""
    connection = _UnixConnection(socket_path, timeout_s)
    try:
        connection.connect()
    except (FileNotFoundError, ConnectionRefusedError) as error:
        connection.close()
        raise NoDaemon(f"no daemon listens on {socket_path}") from error
    except OSError as error:
        connection.close()
        raise CommandFailed(f"{socket_path}: {error.strerror or error}; use root, or the daemon's own user") from error
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/v1/{quote(command, safe='')}", json.dumps(dict(arguments)).encode(), headers)
        response = connection.getresponse()
        body = response.read(ANSWER_BYTES_MAX + 1)
    except TimeoutError as error:
        raise CommandFailed(f"no answer within {timeout_s:g} s; it may still be carried out") from error
    except (OSError, http.client.HTTPException) as error:
        raise CommandFailed(f"the daemon ended the conversation: {str(error) or type(error).__name__}") from error
    finally:
        connection.close()
    return _answer(response.status, body)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_s)
        self.sock.connect(str(self._path))


def _answer(status: int, body: bytes) -> dict[str, object]:
    if len(body) > ANSWER_BYTES_MAX:
        raise CommandFailed(f"the answer is longer than {ANSWER_BYTES_MAX} bytes", status)
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if status != http.HTTPStatus.OK:
        error = answer.get("error") if isinstance(answer, dict) else None
        raise CommandFailed(str(error or f"the daemon failed with {status}; its log says why"), status)
    if not isinstance(answer, dict):
        raise CommandFailed("the daemon's answer is not a JSON object", status)
    return answer
