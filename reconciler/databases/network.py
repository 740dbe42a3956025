"""What the servers have in common: TLS, keepalive, and in words why one cannot be reached."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterator
from typing import Any

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from reconciler.databases import limits
from reconciler.databases.access import Access, AccessError

CAUSES_MAX = 8
_NO_TLS = ("rejected SSL upgrade",)
"""What asyncpg says of it."""


class NoTlsError(ConnectionError):
    """The connection came about, and is not encrypted."""


def tls_context(access: Access, *, host: str | None, socket_path: str | None) -> ssl.SSLContext | None:
    """Give the context to verify the server by; None where TLS is off. Raises AccessError for a bad `tls_ca`."""
    if socket_path is not None:  # no server speaks TLS there
        return None
    mode = access.tls or ("off" if _is_local(host) else "verify")
    if mode == "off":
        return None
    try:
        return ssl.create_default_context(cadata=access.tls_ca.decode() if access.tls_ca else None)
    except (ssl.SSLError, ValueError) as error:
        raise AccessError(
            f"{access.table}.tls_ca: holds no certificate authority; it begins with -----BEGIN CERTIFICATE-----"
        ) from error


def keep_alive(transport: Any) -> None:  # noqa: ANN401 # asyncio's own, behind two drivers
    """Let the kernel find out within half a minute that the server's host is gone."""
    raw = transport.get_extra_info("socket")
    if raw is None or raw.family == socket.AF_UNIX:
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, limits.KEEPALIVE_IDLE_S)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, limits.KEEPALIVE_INTERVAL_S)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, limits.KEEPALIVE_PROBES)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limits.UNACKNOWLEDGED_MAX_S * 1000)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error, and what led to it: SQLAlchemy's wrapping, then the driver's."""
    current: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if current is None:
            return
        yield current
        orig = current.orig if isinstance(current, DBAPIError) else None
        current = orig or current.__cause__ or current.__context__


def unreachable(error: BaseException, where: str, host: str | None, table: str) -> str | None:
    """Say why a server cannot be reached, where that is what happened; `table` is the configuration's."""
    words = (_tls_trouble(cause, where, table) or _no_way(cause, where, host) for cause in causes(error))
    return next(filter(None, words), None)


def _tls_trouble(cause: BaseException, where: str, table: str) -> str | None:
    match cause:
        case ssl.SSLCertVerificationError():
            return f"{where} shows a certificate that is not trusted: {cause.verify_message.rstrip('.')}"
        case NoTlsError() | ssl.SSLError(reason="WRONG_VERSION_NUMBER"):  # it went on in its own protocol
            return _no_tls(where, table)
        case ssl.SSLError():
            return f"TLS with {where} fails: {cause.reason or cause}"
        case _:
            return _no_tls(where, table) if any(said in str(cause) for said in _NO_TLS) else None


def _no_way(cause: BaseException, where: str, host: str | None) -> str | None:
    match cause:
        case socket.gaierror():
            return f"no host of the name {host} is known ({cause.strerror})"
        case ConnectionRefusedError():
            return f"nothing answers at {where} (connection refused)"
        case FileNotFoundError():
            return f"there is no socket {where}"
        case _:
            return None


def place(url: URL, port: int, socket_path: str | None) -> str:
    """Name a server."""
    return socket_path or f"{url.host or 'localhost'}:{url.port or port}"


def _no_tls(where: str, table: str) -> str:
    return f'{where} offers no TLS; switch it on there, or set {table}.tls = "off" where nobody is between'


def _is_local(host: str | None) -> bool:
    if host is None or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
