"""httpx's transport over aiohttp's connections: httpx's own pool takes several times as long for an exchange."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import httpx
from yarl import URL

IDLE_S_MAX: Final = 15.0
"""How long an unused connection is kept: shorter than a gateway's own patience, so that we close first."""
HEADER_BYTES_MAX: Final = 8190
HEADERS_MAX: Final = 64
CHUNK_BYTES: Final = 16 * 1024
TARGET: Final = "target"
"""The request extension that says what to ask for at the URL's host: path and query, sent as they are written.

httpx and yarl would each take a whole URL apart for every request and write it anew, as they like it best.
"""


class Connections(httpx.AsyncBaseTransport):
    """Keeps connections open, directly or through one proxy. No redirect, no cookie, nothing from the environment.

    What fails raises what aiohttp raises. There is no deadline but the caller's, and no limit to how many are open:
    each channel has its concurrency, and one that hangs must not use up the share of others.
    """

    def __init__(self, tls: ssl.SSLContext, proxy: httpx.Proxy | None = None) -> None:
        """Open nothing yet: that takes a running loop."""
        self._tls = tls
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send it; the response comes with its body still to be read. Raises RuntimeError once closed."""
        if self._session is None:
            self._session = self._open()
        assert isinstance(request.stream, httpx.ByteStream)  # noqa: S101 # what we send is at hand
        proxy = self._proxy
        response = await self._session.request(
            request.method,
            URL(f"{request.url}{request.extensions[TARGET]}", encoded=True),
            headers=[(name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers.raw],
            data=b"".join(request.stream) or None,
            allow_redirects=False,
            proxy=str(proxy.url) if proxy is not None else None,
            proxy_headers=proxy.headers if proxy is not None else None,
        )
        return httpx.Response(response.status, headers=response.raw_headers, stream=_Body(response))

    async def aclose(self) -> None:
        """Close every connection. Idempotent."""
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("closed")
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=0, keepalive_timeout=IDLE_S_MAX),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            read_bufsize=CHUNK_BYTES,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            max_headers=HEADERS_MAX,
        )


class _Body(httpx.AsyncByteStream):
    """The body as it arrives, encoded as it came."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._response.content.iter_chunked(CHUNK_BYTES)

    async def aclose(self) -> None:
        """Give the connection back; one whose body was not read to its end is closed."""
        self._response.release()
        await self._response.wait_for_close()
