"""A valid answer, changed in any byte, is the same answer or none: never another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.domain.answer import Closed, Paid, Refunded, Unpaid
from reconciler.domain.order import ChannelName
from reconciler.gateways.alipay import AlipaySettings
from reconciler.gateways.alipay.gateway import AlipayGateway
from reconciler.gateways.asking import Reading
from reconciler.gateways.line import Way
from reconciler.gateways.wechat import WechatSettings
from reconciler.gateways.wechat.gateway import WechatGateway
from reconciler.ops.clock import SystemClock
from reconciler.testing.memory import KeptInMind
from reconciler.testing.pace import FreePace
from reconciler.transport import HttpResponse, Transport
from tests.integration.gateways.hostile.forgers import (
    ALIPAY,
    APPID,
    MCHID,
    NUMBER,
    PUBLIC_KEY_ID,
    WECHAT,
    Answer,
    Forger,
    encode,
    key_of,
)

Read = Callable[[HttpResponse], Reading]


@dataclass(frozen=True)
class Case:
    """An adapter's reading, and the valid answers that it takes."""

    read: Read
    answers: tuple[Answer, ...]


def variants(forger: Forger) -> tuple[Answer, ...]:
    state = "trade_status" if forger is ALIPAY else "trade_state"
    others = ["TRADE_CLOSED", "WAIT_BUYER_PAY"] if forger is ALIPAY else ["REFUND", "CLOSED", "NOTPAY"]
    return (forger.honest(), *(forger.with_content(encode({**forger.content(), state: other})) for other in others))


@pytest.fixture(scope="module", params=["alipay", "wechat"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder: Path = tmp_path_factory.mktemp("keys")
    own, theirs = folder / "own", folder / "theirs"
    own.write_bytes(key_of("merchant").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    theirs.write_bytes(key_of("gateway").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    way = Way(Transport(), FreePace(), SystemClock(), timedelta(seconds=1), KeptInMind())
    now = datetime.now(UTC)
    if request.param == "alipay":
        table = {"app_id": "1", "private_key": f"file:{own}", "alipay_public_key": f"file:{theirs}"}
        alipay = AlipayGateway(ChannelName("main"), AlipaySettings.model_validate(table), way)
        return Case(lambda response: alipay.query(NUMBER).read(response, now), variants(ALIPAY))
    table = {"mchid": MCHID, "appid": APPID, "serial_no": "AB", "private_key": f"file:{own}"}
    table |= {"public_key_id": PUBLIC_KEY_ID, "public_key": f"file:{theirs}"}
    wechat = WechatGateway(ChannelName("main"), WechatSettings.model_validate(table), way)
    return Case(lambda response: wechat.query(NUMBER).read(response, now), variants(WECHAT))


def response_of(answer: Answer, body: bytes, headers: tuple[tuple[str, str], ...] | None = None) -> HttpResponse:
    fields = answer.headers if headers is None else headers
    return HttpResponse(answer.status, tuple((name.lower(), value) for name, value in fields), body)


def assert_same_or_none(read: Read, honest: Reading, response: HttpResponse) -> None:
    reading = read(response)
    if reading.key is not None:
        assert reading.answer == honest.answer
    else:
        assert not isinstance(reading.answer, Paid | Refunded | Closed | Unpaid)


def mutations(body: bytes) -> Iterator[bytes]:
    """Change each byte in each bit, take it away, double it, and put something before it."""
    for at in range(len(body)):
        before, byte, after = body[:at], body[at], body[at + 1 :]
        yield before + after
        yield before + bytes([byte, byte]) + after
        yield before + b" " + bytes([byte]) + after
        yield before + b"\\" + bytes([byte]) + after
        for bit in range(8):
            yield before + bytes([byte ^ (1 << bit)]) + after


def test_no_single_change_makes_another_answer(case: Case) -> None:
    for answer in case.answers:
        honest = case.read(response_of(answer, answer.body))
        assert honest.key is not None
        for body in mutations(answer.body):
            assert_same_or_none(case.read, honest, response_of(answer, body))


def test_no_change_of_a_signed_header_makes_another_answer(case: Case) -> None:
    answer = case.answers[0]
    if not answer.headers:
        pytest.skip("Alipay signs no header")
    honest = case.read(response_of(answer, answer.body))
    for position, (name, value) in enumerate(answer.headers):
        for changed in mutations(value.encode()):
            headers = list(answer.headers)
            headers[position] = (name, changed.decode("latin-1"))
            assert_same_or_none(case.read, honest, response_of(answer, answer.body, tuple(headers)))


@settings(max_examples=400)
@given(data=st.data())
def test_no_cutting_and_pasting_makes_another_answer(case: Case, data: st.DataObject) -> None:
    """Pieces of valid answers, put together anew: each piece was signed once, together they were not."""
    answer = data.draw(st.sampled_from(case.answers))
    donor = data.draw(st.sampled_from(case.answers)).body
    honest = case.read(response_of(answer, answer.body))
    body = bytearray(answer.body)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        end = data.draw(st.integers(start, min(len(body), start + 80)))
        piece = data.draw(st.integers(0, len(donor)))
        length = data.draw(st.integers(0, 200))
        body[start:end] = donor[piece : piece + length]
    assert_same_or_none(case.read, honest, response_of(answer, bytes(body)))
