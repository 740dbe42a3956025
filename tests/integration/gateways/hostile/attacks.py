"""The attacks, each with a name. `ALL` is what the test walks through."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, SHA512

from tests.integration.gateways.hostile.forgers import (
    ALIPAY,
    NUMBER,
    WECHAT,
    Answer,
    Forger,
    WechatForger,
    changed,
    encode,
    sign,
)

MILLION = 1_000_000


@dataclass(frozen=True)
class Attack:
    """One hostile answer."""

    name: str
    forger: Forger
    answer: Callable[[], Answer]


@cache
def _bomb() -> bytes:
    """Give a hundred megabytes of nothing, in a hundred kilobytes."""
    return gzip.compress(bytes(100 * MILLION))


def _on_both() -> Iterator[Attack]:
    for forger in (ALIPAY, WECHAT):
        for name, make in (*_signatures(forger), *_numbers(forger), *_documents(forger), *_connections(forger)):
            yield Attack(f"{forger.kind}: {name}", forger, make)


Named = tuple[str, Callable[[], Answer]]


def _signatures(forger: Forger) -> Iterator[Named]:
    def over(raw: bytes, **how: object) -> str:
        return sign(forger.text_to_sign(raw), **how)  # type: ignore[arg-type]  # sign's own keywords

    def honest_bytes() -> bytes:
        return encode(forger.content())

    def other_order() -> Answer:
        raw = encode(changed(forger.content(), {"out_trade_no": "B2"}))
        return forger.with_signature(over(raw))

    def replayed_whole() -> Answer:
        return forger.saying({"out_trade_no": "B2"})

    def spaced() -> Answer:
        return forger.with_signature(over(honest_bytes()), honest_bytes().replace(b":", b": "))

    def another_encoding() -> Answer:
        text = encode(changed(forger.content(), {"subject": "商品"})).decode()
        return forger.with_signature(over(text.encode("gb18030")), text.encode())

    def escaped_anew() -> Answer:
        raw = encode(changed(forger.content(), {"subject": "a/b"}))
        return forger.with_signature(over(raw), raw.replace(b"/", b"\\/"))

    def one_bit() -> Answer:
        signature = bytearray(base64.b64decode(over(honest_bytes())))
        signature[-1] ^= 1
        return forger.with_signature(base64.b64encode(signature).decode())

    yield "signature of another order", other_order
    yield "whole answer of another order, replayed", replayed_whole
    yield "unsigned success", lambda: forger.with_signature(None)
    yield "empty signature", lambda: forger.with_signature("")
    yield "signed by a stranger", lambda: forger.with_signature(over(honest_bytes(), whose="stranger"))
    yield "signed with our own key", lambda: forger.with_signature(over(honest_bytes(), whose="merchant"))
    yield "signature with one bit changed", one_bit
    yield "signature that is not base64", lambda: forger.with_signature("***not base64***")
    yield "signature that is not ASCII", lambda: forger.with_signature("签名" if forger is ALIPAY else "\xe9")
    yield "signature of a megabyte", lambda: forger.with_signature("A" * (MILLION - 10_000))
    yield "signature of zeros", lambda: forger.with_signature(base64.b64encode(bytes(256)).decode())
    yield "SHA-1 signature", lambda: forger.with_signature(over(honest_bytes(), algorithm=SHA1()))  # noqa: S303 # it is
    yield "MD5 signature", lambda: forger.with_signature(over(honest_bytes(), algorithm=MD5()))  # noqa: S303 # it is
    yield "SHA-512 signature", lambda: forger.with_signature(over(honest_bytes(), algorithm=SHA512()))
    yield (
        "PSS signature",
        lambda: forger.with_signature(over(honest_bytes(), pad=padding.PSS(padding.MGF1(SHA256()), 32))),
    )
    yield "signature over other spacing", spaced
    yield "signature over another encoding", another_encoding
    yield "signature over other escapes", escaped_anew
    yield "signature over nothing", lambda: forger.with_signature(over(b""))


def _numbers(forger: Forger) -> Iterator[Named]:
    """Lie in the facts, under the gateway's own good signature."""
    for name, number in {
        "number in another case": "a1",
        "number with a space behind": "A1 ",
        "number with a NUL behind": "A1\x00",
        "number in full-width letters": "Ａ１",
        "number with a line break": "A1\r\nX: y",
        "number as a list": [NUMBER],
        "number as an object": {NUMBER: NUMBER},
        "number as a boolean": True,
        "number of a megabyte": "A" * (MILLION // 2),
        "number missing": None,
    }.items():
        yield name, lambda number=number: forger.saying({"out_trade_no": number})  # type: ignore[misc]  # bound now
    amounts: dict[str, object] = {
        "a float": 99.0,
        "an exponent": "9.9e1",
        "negative": "-99.00",
        "a plus sign": "+99.00",
        "three decimals": "99.001",
        "with a comma": "9,900.00",
        "Arabic digits": "٩٩.٠٠",
        "full-width digits": "９９.００",
        "hexadecimal": "0x26ac",
        "padded with spaces": " 99.00 ",
        "huge": "9" * 400,
        "of a hundred thousand digits": "9" * 100_000,
        "a boolean": True,
        "a list": ["99.00"],
        "missing": None,
        "one fen less": "98.99",
        "an underscore": "9_9.00",
        "infinite": "Infinity",
    }
    for name, amount in amounts.items():
        yield f"amount {name}", partial(forger.saying, _amount(forger, amount))
    for name, raw in {
        "NaN": b"NaN",
        "an integer of 5000 digits": b"9" * 5000,
        "1e5000": b"1e5000",
        "-0": b"-0",
    }.items():
        yield f"amount as the bare number {name}", partial(_bare_amount, forger, raw)
    for name, when in {
        "in a year": "2099-01-01 00:00:00",
        "before Christ": "-001-01-01 00:00:00",
        "no date": "soon",
        "on the 31st of February": "2026-02-31 00:00:00",
        "missing": None,
        "a number": 1700000000,
        "before the order": "2020-01-01 00:00:00",
    }.items():
        yield f"paid {name}", partial(forger.saying, _paid_at(forger, when))
    for name, transaction in {
        "missing": None,
        "empty": "",
        "with a line break": "4200\r\nX: y",
        "of a megabyte": "4" * (MILLION // 2),
        "a number": 42,
        "with a control sequence": "4200\x1b[2J",
    }.items():
        field = "trade_no" if forger is ALIPAY else "transaction_id"
        yield f"transaction {name}", partial(forger.saying, {field: transaction})
    state = "trade_status" if forger is ALIPAY else "trade_state"
    for name, value in {
        "unknown": "ALMOST",
        "in small letters": "success",
        "a list": ["SUCCESS"],
        "missing": None,
    }.items():
        yield f"state {name}", partial(forger.saying, {state: value})


def _amount(forger: Forger, amount: object) -> dict[str, object]:
    if forger is ALIPAY:
        return {"total_amount": amount}
    fen = amount.replace(".", "") if isinstance(amount, str) else amount
    return {"amount": {"total": fen, "currency": "CNY"} if fen is not None else None}


def _bare_amount(forger: Forger, raw: bytes) -> Answer:
    mark = b'"<amount>"'
    content = encode(changed(forger.content(), _amount(forger, "<amount>")))
    return forger.with_content(content.replace(mark, raw))


def _paid_at(forger: Forger, when: object) -> dict[str, object]:
    if forger is ALIPAY:
        return {"send_pay_date": when}
    return {"success_time": when.replace(" ", "T") + "+08:00" if isinstance(when, str) else when}


def _documents(forger: Forger) -> Iterator[Named]:
    """Send what is no honest JSON document, under a good signature where it can have one."""

    def honest() -> bytes:
        return encode(forger.content())

    def twice(name: str, first: object) -> Answer:
        return forger.with_content(b"{" + encode({name: first})[1:-1] + b"," + honest()[1:])

    state = "trade_status" if forger is ALIPAY else "trade_state"
    yield "state given twice", lambda: twice(state, "CLOSED")
    yield "number given twice", lambda: twice("out_trade_no", "B2")
    yield "amount given twice", lambda: twice(*next(iter(_amount(forger, "1.00").items())))
    yield (
        "nested a hundred thousand deep",
        lambda: forger.with_content(honest()[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    )
    yield "nested without an end", lambda: forger.with_content(b'{"x":' + b"[" * 400_000)
    yield (
        "a hundred thousand members",
        lambda: forger.with_content(honest()[:-1] + b"".join(b',"m%d":1' % number for number in range(60_000)) + b"}"),
    )
    yield "invalid UTF-8", lambda: forger.with_content(honest()[:-1] + b',"x":"\xff\xfe"}')
    yield "a lone surrogate", lambda: forger.with_content(honest()[:-1] + b',"x":"\xed\xa0\x80"}')
    yield "NUL bytes between members", lambda: forger.with_content(honest().replace(b",", b"\x00,"))
    yield "a byte order mark", lambda: replace(forger.honest(), body=b"\xef\xbb\xbf" + forger.honest().body)
    yield "UTF-16", lambda: forger.with_content(honest().decode().encode("utf-16"))
    yield "trailing data", lambda: replace(forger.honest(), body=forger.honest().body + b"{}")
    yield "two documents", lambda: replace(forger.honest(), body=forger.honest().body * 2)
    yield "a document cut short", lambda: forger.with_content(honest()[:-1])
    yield "a list", lambda: forger.with_content(b"[" + honest() + b"]")
    yield "a string that holds the document", lambda: forger.with_content(encode(honest().decode()))
    yield "comments", lambda: forger.with_content(honest()[:-1] + b"/* */}")
    yield "single quotes", lambda: forger.with_content(honest().replace(b'"', b"'"))
    yield "nothing at all", lambda: forger.with_content(b"")
    yield "null", lambda: forger.with_content(b"null")
    yield "HTML", lambda: Answer(200, (("Content-Type", "text/html"),), b"<html>paid</html>")
    yield (
        "HTML that holds the document",
        lambda: replace(forger.honest(), body=b"<script>" + forger.honest().body + b"</script>"),
    )


def _connections(forger: Forger) -> Iterator[Named]:
    """Send what is no honest HTTP answer, or costs more than one."""

    def under(status: int) -> Answer:
        return replace(forger.honest(), status=status)

    def compressed() -> Answer:
        return replace(forger.honest(), body=_bomb(), headers=(("Content-Encoding", "gzip"),))

    def claimed_compressed() -> Answer:
        honest = forger.honest()
        return replace(honest, headers=(*honest.headers, ("Content-Encoding", "br")))

    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield (
        "a body of 50 MB",
        lambda: Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n", part=b" " * 65536, repeat=763),
    )
    yield "a body without end", lambda: Answer(raw=chunked, part=b"10000\r\n" + b" " * 65536 + b"\r\n", repeat=MILLION)
    yield "a gzip bomb", compressed
    yield "a body that claims to be compressed", claimed_compressed
    yield (
        "a slow drip",
        lambda: Answer(
            raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", part=b" ", repeat=MILLION, every_s=0.02
        ),
    )
    yield (
        "a slow drip of headers",
        lambda: Answer(raw=b"HTTP/1.1 200 OK\r\n", part=b"X: y\r\n", repeat=MILLION, every_s=0.02),
    )
    yield "no answer at all", lambda: Answer(raw=b"", keep_open=True)
    yield (
        "a body shorter than it says",
        lambda: replace(forger.honest(), headers=(*forger.honest().headers, ("Content-Length", "9999"))),
    )
    yield (
        "a body longer than it says",
        lambda: replace(forger.honest(), headers=(*forger.honest().headers, ("Content-Length", "9"))),
    )
    yield (
        "two lengths",
        lambda: Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}       "),
    )
    yield (
        "a length and chunks",
        lambda: Answer(
            raw=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        ),
    )
    yield "a chunk of negative length", lambda: Answer(raw=chunked + b"-1\r\n{}\r\n0\r\n\r\n")
    yield "ten thousand headers", lambda: Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000 + b"\r\n")
    yield "a header of ten megabytes", lambda: Answer(raw=b"HTTP/1.1 200 OK\r\nX: ", part=b"y" * 65536, repeat=160)
    yield (
        "interim answers without end",
        lambda: Answer(raw=b"", part=b"HTTP/1.1 100 Continue\r\n\r\n" * 64, repeat=20_000),
    )
    yield "no HTTP", lambda: Answer(raw=b"220 mail.example ESMTP\r\n")
    yield (
        "an upgrade to another protocol",
        lambda: Answer(
            raw=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            + forger.honest().body
        ),
    )
    yield "a redirect to another host", lambda: Answer(302, (("Location", "http://127.0.0.1:1/elsewhere"),))
    yield (
        "a redirect with the honest answer in it",
        lambda: replace(under(302), headers=(*forger.honest().headers, ("Location", "/elsewhere"))),
    )
    for status in (201, 204, 206, 300, 400, 404, 500, 503):
        yield f"the honest answer under HTTP {status}", partial(under, status)
    yield "cookies", lambda: Answer(200, (("Set-Cookie", "session=stolen; Path=/"),), b"{}")


def _on_alipay() -> Iterator[Attack]:  # noqa: C901 # a small function for each attack
    def body_of(*members: tuple[str, bytes]) -> Answer:
        return Answer(body=b"{" + b",".join(encode(name) + b":" + raw for name, raw in members) + b"}")

    def honest() -> tuple[bytes, bytes]:
        raw = encode(ALIPAY.content())
        return raw, encode(sign(raw))

    def unpaid() -> bytes:
        return encode(changed(ALIPAY.content(), {"trade_status": "WAIT_BUYER_PAY"}))

    def first_unsigned() -> Answer:
        raw, signature = honest()
        return body_of((ALIPAY.root, raw), (ALIPAY.root, unpaid()), ("sign", signature))

    def last_unsigned() -> Answer:
        raw, signature = honest()
        return body_of((ALIPAY.root, unpaid()), (ALIPAY.root, raw), ("sign", signature))

    def escaped_root() -> Answer:
        raw, signature = honest()
        twin = b'"alipay_trade_query_respons\\u0065":' + unpaid()
        return Answer(body=b"{" + twin + b',"alipay_trade_query_response":' + raw + b',"sign":' + signature + b"}")

    def both_roots() -> Answer:
        raw, signature = honest()
        return body_of((ALIPAY.root, raw), ("error_response", raw), ("sign", signature))

    def two_signatures() -> Answer:
        raw, signature = honest()
        return body_of((ALIPAY.root, raw), ("sign", encode("AAAA")), ("sign", signature))

    def other_method(root: str) -> Answer:
        raw, signature = honest()
        return body_of((root, raw), ("sign", signature))

    def signed_inside() -> Answer:
        raw = encode({**ALIPAY.content(), "sign": sign(encode(ALIPAY.content()))})
        return body_of((ALIPAY.root, raw))

    def braces() -> Answer:
        trick = encode(changed(ALIPAY.content(), {"subject": '"},"sign":"AAAA"}'}))
        return ALIPAY.with_signature(sign(encode(ALIPAY.content())), trick)

    def typed(**members: bytes) -> Answer:
        raw, signature = honest()
        return body_of((ALIPAY.root, raw), *({"sign": signature} | members).items())

    yield from (
        Attack(f"alipay: {name}", ALIPAY, make)
        for name, make in {
            "root twice, the first unsigned": first_unsigned,
            "root twice, the last unsigned": last_unsigned,
            "root twice, once with an escape in its name": escaped_root,
            "both roots": both_roots,
            "two signatures": two_signatures,
            "a signed answer to another method": lambda: other_method("alipay_trade_precreate_response"),
            "a signed refund query's answer": lambda: other_method("alipay_trade_fastpay_refund_query_response"),
            "a signed close's answer": lambda: other_method("alipay_trade_close_response"),
            "no root": lambda: other_method("alipay_response"),
            "the signature inside the signed member": signed_inside,
            "braces and a signature in a string": braces,
            "signature as a number": lambda: typed(sign=b"1"),
            "signature as a list": lambda: typed(sign=b'["AAAA"]'),
            "an encrypted answer": lambda: ALIPAY.with_content(encode("QUJDREVGR0g=")),
            "success code as a number": lambda: ALIPAY.saying({"code": 10000}),
            "another currency": lambda: ALIPAY.saying({"trans_currency": "USD"}),
            "no currency anybody knows": lambda: ALIPAY.saying({"trans_currency": "¤"}),
            "currency as a list": lambda: ALIPAY.saying({"trans_currency": ["CNY"]}),
            "credit, not money": lambda: ALIPAY.saying({"credit_pay_mode": "CREDIT_PREAUTH_PAY"}),
            "seller has not received": lambda: ALIPAY.saying({"additional_status": "SELLER_NOT_RECEIVED"}),
            "refusal under a good signature that says paid": lambda: ALIPAY.saying(
                {"code": "40004", "sub_code": "ACQ.X"}
            ),
            "forged certificate serial": lambda: typed(
                alipay_cert_sn=b'"00000000000000000000000000000000"', sign=b'"AAAA"'
            ),
        }.items()
    )


def _on_wechat() -> Iterator[Attack]:
    def now() -> int:
        return int(datetime.now(UTC).timestamp())

    def over_twin_header() -> Answer:
        honest = WECHAT.honest()
        return replace(honest, headers=(*honest.headers, ("Wechatpay-Signature", "AAAA")))

    def nonce_shifted() -> Answer:
        """Cut the same signed text elsewhere: a line of the body taken for the nonce."""
        raw = b"x\n" + encode(WECHAT.content())
        signature = sign(WechatForger(timestamp=now(), nonce="n").text_to_sign(raw))
        return WechatForger(timestamp=now(), nonce="n\nx").with_signature(signature)

    def merchant(**facts: object) -> Callable[[], Answer]:
        return lambda: WECHAT.saying(facts)

    def amount(**facts: object) -> Callable[[], Answer]:
        return lambda: WECHAT.saying({"amount": {"total": 9900, "currency": "CNY"} | facts})

    def probe() -> Answer:
        honest = WECHAT.honest()
        mark = "WECHATPAY/SIGNTEST/"
        fields = tuple((name, mark + value if name.endswith("Signature") else value) for name, value in honest.headers)
        return replace(honest, headers=fields)

    def at(timestamp: int) -> Callable[[], Answer]:
        return lambda: WechatForger(timestamp=timestamp).honest()

    def text_at(text: str) -> Answer:
        honest = WECHAT.honest()
        fields = tuple((name, text if name.endswith("Timestamp") else value) for name, value in honest.headers)
        return replace(honest, headers=fields)

    yield from (
        Attack(f"wechat: {name}", WECHAT, make)
        for name, make in {
            "an answer from six minutes ago": lambda: WechatForger(timestamp=now() - 360).honest(),
            "an answer from six minutes ahead": lambda: WechatForger(timestamp=now() + 360).honest(),
            "an answer from 1970": at(0),
            "a signed time before 1970": at(-1),
            "a signed time beyond any calendar": at(999_999_999_999),
            "a signed time in words": lambda: text_at("now"),
            "a signed time in Arabic digits": lambda: text_at("1700000000.5"),
            "a signature header given twice": over_twin_header,
            "a nonce that reaches into the body": nonce_shifted,
            "no nonce": lambda: WechatForger(without=frozenset({"Wechatpay-Nonce"})).honest(),
            "no signed time": lambda: WechatForger(without=frozenset({"Wechatpay-Timestamp"})).honest(),
            "no serial": lambda: WechatForger(without=frozenset({"Wechatpay-Serial"})).honest(),
            "a serial nobody knows": lambda: WechatForger(serial="5157F09EFDC096DE15EBE81A47057A7232F1B8E1").honest(),
            "a serial of a megabyte": lambda: WechatForger(serial="A" * 8000).honest(),
            "a serial with a line break in it": lambda: WechatForger(serial="PUB_KEY_ID_1\t2").honest(),
            "a deliberately false signature": probe,
            "another merchant": merchant(mchid="1999999999"),
            "another application": merchant(appid="wx9999999999999999"),
            "no merchant": merchant(mchid=None),
            "a merchant as a number": merchant(mchid=1900000001),
            "a provider's trade": merchant(sp_mchid="1900000001"),
            "a sub-merchant's trade": merchant(sub_mchid="1999999999"),
            "another currency": amount(currency="USD"),
            "a currency in small letters": amount(currency="cny"),
            "no currency": amount(currency=None),
            "amount as text": amount(total="9900"),
            "amount as a float": amount(total=9900.0),
            "negative amount": amount(total=-9900),
            "amount beyond any money": amount(total=10**30),
            "what the payer paid instead of the total": amount(total=9800, payer_total=9900),
            "amount as a list": lambda: WECHAT.saying({"amount": [9900]}),
            "a signed empty 204": lambda: replace(WECHAT.with_content(b""), status=204),
            "a signed refusal that says paid": lambda: WechatForger(status=404).honest(),
        }.items()
    )


ALL = (*_on_both(), *_on_alipay(), *_on_wechat())
