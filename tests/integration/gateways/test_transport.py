"""The one way out, against servers that misbehave."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from reconciler.transport import HttpRequest, HttpResponse, Proxies, Transport, TransportFailure

Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
SECOND = timedelta(seconds=1)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                await serve(await reader.readuntil(b"\r\n\r\n"), writer)
                if writer.is_closing():
                    break
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"{'https' if tls else 'http'}://localhost:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()


def always(response: bytes, *, close: bool = False) -> Serve:
    async def serve(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response)
        await writer.drain()
        if close:
            writer.close()

    return serve


async def sent(url: str, transport: Transport | None = None, within: timedelta = 5 * SECOND) -> HttpResponse:
    transport = transport or Transport()
    try:
        return await transport.send(HttpRequest("GET", f"{url}/x", (("User-Agent", "test"),)), within)
    finally:
        await transport.close()


async def test_a_response_comes_with_its_raw_bytes_and_every_header() -> None:
    raw = b"HTTP/1.1 404 Nope\r\nX-A: 1\r\nx-a: 2\r\nX-B: \xe9\r\nContent-Length: 3\r\n\r\n\x00\xff\n"
    async with serving(always(raw)) as url:
        response = await sent(url)
    assert (response.status, response.body) == (404, b"\x00\xff\n")
    assert [value for name, value in response.headers if name == "x-a"] == ["1", "2"]
    assert response.header("x-a") is None
    assert response.header("x-b") == "é"


async def test_the_connection_is_used_again_and_no_cookie_kept() -> None:
    heads: list[bytes] = []
    writers: set[int] = set()

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writers.add(id(writer))
        writer.write(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b; Path=/\r\n\r\n"))

    transport = Transport()
    async with serving(serve) as url:
        for _ in range(3):
            await transport.send(HttpRequest("POST", url, (("User-Agent", "test"),), b"body"), SECOND)
        await transport.close()
    assert len(writers) == 1
    assert not any(b"cookie" in head.lower() for head in heads)
    assert all(b"accept-encoding: identity" in head.lower() for head in heads)


@pytest.mark.parametrize(
    ("written", "on_the_wire"),
    [
        ("/a%2fb/..;!$&'()*+,=:@?c=%e4&d", "/a%2fb/..;!$&'()*+,=:@?c=%e4&d"),
        ("/a#part", "/a"),
        ("", "/"),
        ("?a=1", "/?a=1"),
        ("/订单?a b", "/%E8%AE%A2%E5%8D%95?a%20b"),
    ],
)
async def test_path_and_query_go_out_as_they_were_signed(written: str, on_the_wire: str) -> None:
    heads: list[bytes] = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(OK)

    transport = Transport()
    async with serving(serve) as url:
        await transport.send(HttpRequest("GET", f"{url}{written}", ()), 5 * SECOND)
        await transport.close()
    assert [head.split(b" ")[1].decode() for head in heads] == [on_the_wire]


@pytest.mark.parametrize("written", ["/a\r\nX: y", "/a\nX:y", "\r\nX: y", "/a?\x00", "/a#\r\nX: y"])
async def test_a_url_with_a_line_in_it_is_not_sent(written: str) -> None:
    heads: list[bytes] = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(OK)

    transport = Transport()
    async with serving(serve) as url:
        with pytest.raises(TransportFailure, match="not a URL"):
            await transport.send(HttpRequest("GET", f"{url}{written}", ()), 5 * SECOND)
        await transport.close()
    assert heads == []


async def test_a_redirect_is_an_answer_and_not_followed() -> None:
    heads: list[bytes] = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n")

    async with serving(serve) as url:
        assert (await sent(url)).status == 302
    assert len(heads) == 1


ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b"a" * 65536 + b"\r\n") * 40


@pytest.mark.parametrize(
    ("response", "close"),
    [
        (b"", True),
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 500 + b"\r\n", False),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + gzip.compress(b""), False),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: x\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"a" * 2_000_000, False),
        (ENDLESS, False),
    ],
    ids=range(14),
)
async def test_what_is_no_whole_plain_response_is_a_failure_of_ours(response: bytes, close: bool) -> None:
    async with serving(always(response, close=close)) as url:
        with pytest.raises(TransportFailure) as failure:
            await sent(url)
    assert failure.value.reason.isprintable()
    assert 0 < len(failure.value.reason) <= 200
    assert "no whole answer within" not in failure.value.reason


async def test_a_body_up_to_the_limit_is_taken() -> None:
    body = b"a" * 1_000_000
    async with serving(always(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + body)) as url:
        assert (await sent(url)).body == body


async def test_a_slow_drip_ends_at_the_one_deadline() -> None:
    async def drip(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"a")
            await asyncio.sleep(0.01)

    async with serving(drip) as url:
        with pytest.raises(TransportFailure, match=r"no whole answer within 0\.2s"):
            await sent(url, within=timedelta(milliseconds=200))


async def test_silence_ends_at_the_deadline() -> None:
    async def silent(_head: bytes, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(silent) as url:
        with pytest.raises(TransportFailure, match="no whole answer within"):
            await sent(url, within=timedelta(milliseconds=100))


async def test_a_cancelled_ask_is_cancelled() -> None:
    arrived = asyncio.Event()

    async def silent(_head: bytes, _writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.Event().wait()

    async with serving(silent) as url:
        task = asyncio.create_task(sent(url))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_nobody_listening_is_a_failure_of_ours() -> None:
    async with serving(always(OK)) as url:
        pass
    with pytest.raises(TransportFailure, match="Connect"):
        await sent(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway.example",
        "http://127.0.0.1.example",
        "ftp://localhost",
        "file:///etc",
        "localhost",
        "http://[",
        "https://",
    ],
)
async def test_plain_http_goes_to_loopback_only(url: str) -> None:
    with pytest.raises(TransportFailure):
        await sent(url)


async def test_a_connection_that_ends_within_the_headers_tells_nothing_of_them() -> None:
    """They hold what others must not read: the cookies of a shop's own code."""
    async with serving(always(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=SECRET\r\nX-A: b", close=True)) as url:
        with pytest.raises(TransportFailure) as failed:
            await sent(url)
    assert str(failed.value) == "the connection was closed before the answer was complete"


async def test_a_closed_transport_says_so() -> None:
    transport = Transport()
    await transport.close()
    await transport.close()
    with pytest.raises(TransportFailure, match="shutting down"):
        await sent("http://localhost:1", transport)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for localhost, signed by itself, with its key."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path) -> None:
    async with serving(always(OK), server_side(certificate)) as url:
        with pytest.raises(TransportFailure, match="ertificate"):
            await sent(url)


async def test_a_certificate_is_good_for_its_own_name_only(certificate: Path) -> None:
    ours = ssl.create_default_context(cafile=certificate)
    async with serving(always(OK), server_side(certificate)) as url:
        assert (await sent(url, Transport(tls=ours))).body == b"ok"
        with pytest.raises(TransportFailure, match="ertificate"):
            await sent(url.replace("localhost", "127.0.0.1"), Transport(tls=ours))


async def test_a_proxy_is_asked_for_other_hosts_and_never_for_loopback() -> None:
    heads: list[bytes] = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    async with serving(serve) as proxy, serving(always(OK)) as direct:
        proxies = Proxies.from_environment({"HTTPS_PROXY": proxy.replace("//", "//user:pass@")})
        with pytest.raises(TransportFailure):
            await sent("https://gateway.example", Transport(proxies))
        assert (await sent(direct, Transport(proxies))).body == b"ok"
    assert len(heads) == 1
    assert heads[0].startswith(b"CONNECT gateway.example:443 ")
    assert b"proxy-authorization: basic dxnlcjpwyxnz" in heads[0].lower()


async def test_the_environments_proxy_is_taken_only_where_it_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.close()

    async with serving(serve) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.setenv("ALL_PROXY", proxy)
        with pytest.raises(TransportFailure):
            await sent("https://gateway.invalid")
    assert heads == []


def test_proxies_are_read_in_either_case_and_hosts_exempted() -> None:
    proxies = Proxies.from_environment({"all_proxy": "proxy:3128", "no_proxy": "a.example, .b.example"})
    assert proxies.https == "proxy:3128"
    hosts = ("a.example", "x.a.example", "b.example", "xb.example", "c.example", "127.0.0.1", "::1", "localhost")
    assert [host for host in hosts if proxies.concerns(host)] == ["xb.example", "c.example"]
    assert Proxies.from_environment({"HTTPS_PROXY": " "}) == Proxies()
    assert not Proxies("http://proxy", ("*",)).concerns("c.example")


@pytest.mark.parametrize("proxy", ["socks5://proxy:1080", "http://", "http://["])
def test_a_proxy_that_cannot_be_used_is_refused_at_start(proxy: str) -> None:
    with pytest.raises(ValueError, match="HTTPS_PROXY or ALL_PROXY"):
        Proxies.from_environment({"HTTPS_PROXY": proxy})
