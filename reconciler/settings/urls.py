"""Addresses and URLs of the configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import BeforeValidator, PlainSerializer

from reconciler.settings.channel import is_loopback

URL_LENGTH_MAX = 2048
PORT_MAX = 65535
SOCKET_KEYS = {"mysql": frozenset({"unix_socket"}), "postgresql": frozenset({"host", "port"})}
"""What may stand in the query of a URL, to lead to a socket. Whatever else drivers take there would go round us."""
PASSWORD_KEYS = frozenset({"password", "passwd", "pwd", "sslpassword"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def password_in(url: str) -> str | None:
    """Find the password that a URL carries, before its host or in its query."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return None
    return parts.password or next((value for key, value in query if key.lower() in PASSWORD_KEYS and value), None)


def sqlite_path(url: str) -> Path | None:
    """Give the file of an SQLite URL (relative to the working directory, or absolute); None for other databases."""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def same_database(one: str, other: str) -> bool:
    """Whether two database URLs lead to one database, as far as can be told without asking it."""
    first, second = sqlite_path(one), sqlite_path(other)
    if first is not None and second is not None:
        if first.exists() and second.exists():
            return first.samefile(second)
        return first.resolve() == second.resolve()
    return first is None and second is None and _server(one) == _server(other)


def _server(url: str) -> tuple[str, str, int | None, str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or {"mysql": 3306, "postgresql": 5432}.get(parts.scheme)
    return parts.scheme, "" if not host or is_loopback(host) else host, port, parts.path


def _database_url(value: object) -> str:
    example = 'write it like "mysql://reconciler@127.0.0.1:3306/shop" or "sqlite:////var/lib/shop/shop.db"'
    parts = _split(value, example)
    match parts.scheme:
        case "sqlite":
            return _sqlite_url(parts, str(value))
        case "mysql" | "postgresql":
            return _server_url(parts, str(value), example)
        case "postgres":
            raise ValueError('begins with postgres://; write "postgresql://…"')
        case "mariadb":
            raise ValueError('begins with mariadb://; write "mysql://…", which serves MariaDB too')
        case _ if "+" in parts.scheme:
            raise ValueError("names a driver; leave it out: mysql://, postgresql:// or sqlite:///")
        case _:
            raise ValueError(f"is not a database URL; {example}")


def _sqlite_url(parts: SplitResult, url: str) -> str:
    if parts.netloc or not url.startswith("sqlite:///") or not parts.path.strip("/"):
        raise ValueError('names no file; write "sqlite:////absolute/path.db" or "sqlite:///relative/path.db"')
    if parts.query or parts.fragment or "%" in url or ":memory:" in url:
        raise ValueError('must be a plain path, neither ":memory:" nor with "?", "#" or "%" in it')
    return url


def _server_url(parts: SplitResult, url: str, example: str) -> str:
    if password_in(url) is not None:
        raise ValueError('carries a password; take it out and write password = "credential:NAME" beside it')
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    for key, value in query.items():
        if key not in SOCKET_KEYS[parts.scheme]:
            raise ValueError(f'has "{key}=" in it, which is no part of an address here; leave it out')
        if key in {"unix_socket", "host"} and not value.startswith("/"):  # a host there would go round shop.tls
            raise ValueError(f'has "{key}=" in it, which takes the absolute path of a socket; {example}')
    if not parts.hostname and not ({"unix_socket", "host"} & query.keys()):
        raise ValueError(f"names no host; {example}")
    if not parts.path.strip("/") or "/" in parts.path[1:] or parts.fragment:
        raise ValueError(f"must name one database after the host; {example}")
    return url


def _split(value: object, example: str) -> SplitResult:
    if not isinstance(value, str) or not 0 < len(value) <= URL_LENGTH_MAX or not value.isprintable() or " " in value:
        raise ValueError(f"is not a URL; {example}")
    try:
        parts = urlsplit(value)
        _ = parts.port, parts.hostname
    except ValueError as error:
        raise ValueError(f"is not a URL; {example}") from error
    return parts


def _web_url(value: object) -> str:
    example = 'write it like "https://shop.example/internal/payment-confirmed"'
    parts = _split(value, example)
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.fragment:
        raise ValueError(f"is not a web address; {example}")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(f"must begin with https:// (http:// goes to a loopback address only); {example}")
    if "@" in parts.netloc:
        raise ValueError("carries a user or a password; the request is signed with the secret instead")
    return str(value)


def _address(value: object) -> Address | None:
    if value is None or isinstance(value, Address):
        return value
    if value in ("", "off"):
        return None
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([A-Za-z0-9._-]{1,253})):(\d{1,5})", str(value))
    if not isinstance(value, str) or match is None or int(match[3]) > PORT_MAX:
        raise ValueError('is not an address; write host and port, like "127.0.0.1:9470", or "off"')
    return Address(match[1] or match[2], int(match[3]))


def is_web_url(value: str) -> bool:
    """Whether a text, a secret's perhaps, is a URL that we would ask for: https, or http to a loopback address."""
    try:
        _web_url(value)
    except ValueError:
        return False
    return True


DatabaseUrl = Annotated[str, BeforeValidator(_database_url)]
WebUrl = Annotated[str, BeforeValidator(_web_url)]
Listen = Annotated[Address | None, BeforeValidator(_address), PlainSerializer(lambda value: str(value or "off"))]
