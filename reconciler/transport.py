"""Outgoing HTTP, over httpx's transport interface without httpx's client.

So no redirect is followed, no cookie kept, no proxy taken from the environment behind our back and no URL logged.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from urllib.parse import unquote, urlsplit

import aiohttp
import httpx
from aiohttp.http_exceptions import HttpProcessingError

from reconciler.connections import TARGET, Connections
from reconciler.domain.personal import without_persons
from reconciler.settings.channel import is_loopback

BODY_BYTES_MAX = 1_000_000
REASON_LENGTH_MAX = 200
REASON_RAW_LENGTH_MAX = 4000
NO_PROXY_MAX = 100
ORIGINS_KEPT = 64

_ORIGIN_AND_TARGET = re.compile(r"([^/?#]*//[^/?#]*)([!-~]*)")
_BAD_PROXY = "the proxy in HTTPS_PROXY or ALL_PROXY must be a URL with http:// or https:// and a host (no SOCKS)"
_CLOSED = "connections are closed: shutting down"
_FOREIGN = (aiohttp.ClientError, HttpProcessingError, OSError, EOFError, UnicodeError)
"""Everything an exchange can fail with."""

Headers = tuple[tuple[str, str], ...]


class TransportFailure(Exception):
    """No whole response came. `reason` is for people: short, printable, without secrets.

    `lasts`: sending the same again at once would end the same way.
    """

    def __init__(self, reason: str, *, lasts: bool = False) -> None:
        self.lasts = lasts
        # What follows on further lines is what arrived (aiohttp quotes it): a page may have anybody's name in it.
        first, *_ = reason[:REASON_RAW_LENGTH_MAX].strip().splitlines() or [""]
        self.reason = "".join(c if c.isprintable() else "?" for c in without_persons(first)[:REASON_LENGTH_MAX])
        super().__init__(self.reason)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request; the path and query of `url` go on the wire as they are written, if they are printable ASCII."""

    method: str
    url: str = field(repr=False)
    """May hold a token; so may what follows. None of it is for a traceback."""
    headers: Headers = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One whole response, the body as it arrived."""

    status: int
    headers: Headers = field(repr=False)
    """Names in lower case, values as latin-1; a repeated header stands here as often as it came."""
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """Give the header's value; None where it is missing or came more than once."""
        values = [value for key, value in self.headers if key == name]
        return values[0] if len(values) == 1 else None


@dataclass(frozen=True, slots=True)
class Proxies:
    """Which proxy to take for which host; none, unless somebody asked for one."""

    https: str | None = field(default=None, repr=False)
    """May hold a password."""
    exempt: tuple[str, ...] = ()
    """Hosts, and with them their subdomains, that are reached directly; `*` exempts all."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Proxies:
        """Read HTTPS_PROXY (else ALL_PROXY) and NO_PROXY, in either case. Raises ValueError where that is no URL."""
        known = {name.lower(): value.strip() for name, value in environment.items() if value.strip()}
        proxy = known.get("https_proxy") or known.get("all_proxy")
        if proxy is not None:
            _proxy_of(proxy)
        names = known.get("no_proxy", "").split(",")[:NO_PROXY_MAX]
        return cls(
            proxy,
            tuple(name.strip().lower().lstrip(".") for name in names if name.strip()),
        )

    def concerns(self, host: str) -> bool:
        """Whether this host is reached through the proxy; a loopback address never is."""
        if self.https is None or is_loopback(host) or "*" in self.exempt:
            return False
        return not any(host == name or host.endswith(f".{name}") for name in self.exempt)


class Transport:
    """Connections to the outside, shared by every channel. TLS is verified; plain http goes to loopback only."""

    def __init__(
        self,
        proxies: Proxies | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self._proxies = proxies or Proxies()
        tls = tls or ssl.create_default_context()
        self._body_bytes_max = body_bytes_max
        self._direct = Connections(tls)
        proxy = self._proxies.https
        self._proxied = Connections(tls, _proxy_of(proxy)) if proxy is not None else None
        self._closed = False

    async def send(self, request: HttpRequest, timeout: timedelta) -> HttpResponse:  # noqa: ASYNC109 # the deadline is the caller's setting `ask.timeout`
        """Send and take the whole response within one deadline, connecting included. Raises TransportFailure."""
        if self._closed:
            raise TransportFailure(_CLOSED, lasts=True)
        origin, target = _address(request.url)
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                return await self._exchange(origin, target, request)
        except TimeoutError as error:
            raise TransportFailure(f"no whole answer within {timeout.total_seconds():g}s") from error
        except _FOREIGN as error:
            raise TransportFailure(_reason_of(error)) from error
        except RuntimeError as error:
            if not self._closed:
                raise
            raise TransportFailure(_CLOSED, lasts=True) from error

    async def close(self) -> None:
        """Close every connection. Idempotent."""
        self._closed = True
        await self._direct.aclose()
        if self._proxied is not None:
            await self._proxied.aclose()

    async def _exchange(self, origin: httpx.URL, target: str, request: HttpRequest) -> HttpResponse:
        way = self._proxied if self._proxied is not None and self._proxies.concerns(origin.host) else self._direct
        headers = [*request.headers, ("Accept-Encoding", "identity")]
        stream = httpx.ByteStream(request.body)  # as it is: made from content, httpx adds headers that aiohttp adds
        response = await way.handle_async_request(
            httpx.Request(request.method, origin, headers=headers, stream=stream, extensions={TARGET: target})
        )
        try:
            received = tuple((k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in response.headers.raw)
            _refuse_encoded(received)
            return HttpResponse(response.status_code, received, await self._body_of(response))
        finally:
            await response.aclose()

    async def _body_of(self, response: httpx.Response) -> bytes:
        # Straight from the stream: httpx's own readers would expand an encoding.
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 # an asynchronous transport gives no other
        body = bytearray()
        async for chunk in stream:
            body += chunk
            if len(body) > self._body_bytes_max:
                raise TransportFailure(f"the answer is larger than {self._body_bytes_max} bytes", lasts=True)
        return bytes(body)


def _address(url: str) -> tuple[httpx.URL, str]:
    """Part a URL into its origin and what is asked for there. Raises TransportFailure."""
    match = _ORIGIN_AND_TARGET.match(url)
    origin = _origin(match[1] if match else url)
    target = match[2] if match else ""
    if match and match.end() < len(url):  # not ASCII, or with spaces
        target = _parsed(url).raw_path.decode("ascii")
    target = target.partition("#")[0]
    return origin, target if target.startswith("/") else f"/{target}"


@lru_cache(ORIGINS_KEPT)
def _origin(text: str) -> httpx.URL:
    """Parse and check scheme and host: httpx takes its time for it, and there are few. Raises TransportFailure."""
    origin = _parsed(text)
    if origin.scheme != "https" and not (origin.scheme == "http" and is_loopback(origin.host)):
        why = f"refused to send to {origin.scheme}://{origin.host}: only https, or http to loopback"
        raise TransportFailure(why, lasts=True)
    return origin


def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:
        raise TransportFailure(f"not a URL: {error}", lasts=True) from error


def _refuse_encoded(headers: Headers) -> None:
    encodings = {value.strip().lower() for name, value in headers if name == "content-encoding"}
    if encodings - {"", "identity"}:
        raise TransportFailure("the answer is compressed, although we asked for it as it is", lasts=True)


def _reason_of(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        why = os.strerror(error.os_error.errno) if error.os_error.errno else str(error.os_error)
        return f"cannot connect to {error.host}:{error.port}: {why}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"not an HTTP answer: {error.message or error.status}"  # its own words hold the URL, and so a token
    if isinstance(error, aiohttp.ServerDisconnectedError):
        # its own words may be the headers that came, cookies and all
        return "the connection was closed before the answer was complete"
    if isinstance(error, aiohttp.ClientOSError):
        # the same: the URL
        return f"{type(error).__name__}: {os.strerror(error.errno)}" if error.errno else type(error).__name__
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _proxy_of(text: str) -> httpx.Proxy:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        user, password, _ = parts.username, parts.password, parts.port
        proxy = httpx.Proxy(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")
    except (ValueError, httpx.InvalidURL) as error:
        raise ValueError(_BAD_PROXY) from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(_BAD_PROXY)
    if user:
        # By header: aiohttp deprecates its own way.
        pair = f"{unquote(user)}:{unquote(password or '')}".encode()
        proxy.headers["Proxy-Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return proxy
