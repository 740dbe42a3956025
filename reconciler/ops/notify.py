"""systemd's notify protocol: one datagram per word (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import timedelta

SEND_TIMEOUT_S = 0.25
STATUS_LENGTH_MAX = 200
MICROSECONDS = 1_000_000


class Notify:
    """Tells systemd how the service is; where nobody supervises it, says nothing. Never raises."""

    def __init__(self, address: str | None, watchdog_s: float | None = None) -> None:
        self._address = None if address is None else _socket_address(address)
        self.watchdog_s = watchdog_s if self._address is not None else None
        """Silence longer than this has the service killed; None where no watchdog watches."""
        self.remark = ""
        """What each status ends with, until it is taken back."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Notify:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID."""
        return cls(environment.get("NOTIFY_SOCKET") or None, _watchdog_s(environment))

    @property
    def watchdog_every_s(self) -> float | None:
        """How often to call `watchdog`: half of what systemd allows, as sd_watchdog_enabled(3) advises."""
        return None if self.watchdog_s is None else self.watchdog_s / 2

    def ready(self, status: str = "") -> bool:
        """Say that start-up, or a reload, is over."""
        return self._send("READY=1", *self._status(status))

    def reloading(self, monotonic_s: float) -> bool:
        """Say that a reload has begun, at this time of `Clock.monotonic`; `ready` ends it."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={int(monotonic_s * MICROSECONDS)}")

    def stopping(self, status: str = "") -> bool:
        """Say that the service is on its way out."""
        return self._send("STOPPING=1", *self._status(status))

    def status(self, text: str) -> bool:
        """Set the line that `systemctl status` shows."""
        return self._send(*self._status(text))

    def watchdog(self) -> bool:
        """Say that the service is alive."""
        return self._send("WATCHDOG=1")

    def more_time(self, length: timedelta) -> bool:
        """Ask for more time to start or stop, counted from now: a long migration of the ledger."""
        return self._send(f"EXTEND_TIMEOUT_USEC={length // timedelta(microseconds=1)}")

    def _status(self, text: str) -> tuple[str, ...]:
        one_line = " ".join(text.split())
        remark = f"; {self.remark}" if one_line and self.remark else ""
        one_line = one_line[: STATUS_LENGTH_MAX - len(remark)] + remark
        return (f"STATUS={one_line}",) if one_line else ()

    def _send(self, *words: str) -> bool:
        """Send the words; False where nobody listens."""
        if self._address is None or not words:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd:
                to_systemd.settimeout(SEND_TIMEOUT_S)
                to_systemd.sendto("\n".join(words).encode(errors="replace"), self._address)
        except OSError:
            return False
        return True


def _socket_address(address: str) -> str | None:
    if address.startswith("@"):
        return "\0" + address[1:]
    return address if address.startswith("/") else None  # "vsock:": systemd of a virtual machine's host, not ours


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    microseconds = environment.get("WATCHDOG_USEC", "")
    if not (microseconds.isascii() and microseconds.isdigit()) or int(microseconds) == 0:
        return None
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / MICROSECONDS
