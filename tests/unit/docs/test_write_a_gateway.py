"""The gateway of *Write a gateway*, as the page has it: installed by its entry point, and through the whole suite."""

from __future__ import annotations

import base64
import inspect
import json
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from reconciler.gateways.kinds import GROUP, Kinds
from reconciler.testing.gateway_bench import Received, Sent, bench_over_a_socket
from reconciler.testing.gateway_conformance import GatewayConformance
from reconciler.testing.gateway_situations import GatewayBench, Situation
from tests.unit.docs.book import DOCS, Book

PAGE = DOCS / "how-to" / "write-a-gateway.md"
KINDS = Kinds()
MERCHANT = "M1"


@pytest.fixture(autouse=True, scope="module")
def _installed(book: Book, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install the page's package, as pip would leave it."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads(book.blocks(PAGE, "toml")[0])["project"]
    info = site / "lantern_pay-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = "".join(f"{name} = {value}\n" for name, value in project["entry-points"][GROUP].items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{points}")
    (site / "lantern_pay.py").write_text(book.blocks(PAGE, "python")[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        assert set(KINDS) == {"alipay", "lantern", "wechat"}
        yield
    sys.modules.pop("lantern_pay", None)


class LanternSide:
    """Implements `OtherSide`: what Lantern Pay would say."""

    def __init__(self, folder: Path) -> None:
        self._merchants, self._own, self._strangers = (Ed25519PrivateKey.generate() for _ in range(3))
        private, public = folder / "private", folder / "public"
        private.write_bytes(self._merchants.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        private.chmod(0o600)
        public.write_bytes(self._own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        self.table: dict[str, object] = {
            "merchant": MERCHANT,
            "private_key": f"file:{private}",
            "lantern_key": f"file:{public}",
        }

    def number_of(self, request: Received) -> str:
        time, signature = request.headers["lantern-time"], base64.b64decode(request.headers["lantern-signature"])
        try:
            self._merchants.public_key().verify(signature, f"{request.method}\n{request.target}\n{time}\n".encode())
        except InvalidSignature as error:
            raise AssertionError("the request's signature does not verify") from error
        assert int(time) == int(request.at.timestamp())
        assert request.headers["lantern-merchant"] == MERCHANT
        _, orders, number, *rest = request.target.split("/")
        assert (orders, rest) == ("orders", ["close"] if request.method == "POST" else [])
        return number

    def answer(self, request: Received, situation: Situation | None) -> Sent:
        refusals = {
            Situation.NOT_CREATED: 404,
            Situation.THROTTLED: 429,
            Situation.REVOKED_KEY: 401,
            Situation.BAD_NUMBER: 400,
        }
        assert situation is not None
        if situation in refusals:
            return Sent(b'{"error": "no"}', refusals[situation])
        states = {
            Situation.UNPAID: "waiting",
            Situation.CLOSABLE: "waiting",
            Situation.CLOSED: "closed",
            Situation.REFUNDED: "returned",
            Situation.NEW_STATE: "dreamt",
        }
        number = "B2" if situation is Situation.STRANGER else self.number_of(request)
        closes = request.method == "POST" and situation is Situation.CLOSABLE
        trade = {
            "order": number,
            "merchant": MERCHANT,
            "state": "closed" if closes else states.get(situation, "paid"),
            "payment": f"T-{number}",
            "fen": "9900" if situation is Situation.ODD_AMOUNT else 9900,
            "currency": "CNY",
            "paid_at": "2026-11-23T11:59:00+08:00",
        }
        late_s = 3600 if situation is Situation.STALE else 0
        body, time = json.dumps(trade).encode(), str(int(request.at.timestamp()) - late_s)
        key = self._strangers if situation is Situation.FORGED else self._own
        signature = base64.b64encode(key.sign(f"{time}\n".encode() + body)).decode()
        headers = {} if situation is Situation.UNSIGNED else {"Lantern-Time": time, "Lantern-Signature": signature}
        if situation is Situation.ALTERED:
            body = body.replace(b"9900", b"9901")
        return Sent(body, 200, headers, Situation.CLOSED if closes else None)


class TestLantern(GatewayConformance):
    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[GatewayBench]:
        side = LanternSide(tmp_path)
        async with bench_over_a_socket(KINDS["lantern"], side.table, side) as bench:
            yield bench


def test_the_page_shows_the_class_that_is_run_here(book: Book) -> None:
    assert book.blocks(PAGE, "python")[1] == inspect.getsource(TestLantern)


def test_a_key_that_is_none_is_named_without_printing_it(tmp_path: Path) -> None:
    side = LanternSide(tmp_path)
    swapped = side.table | {"private_key": side.table["lantern_key"], "lantern_key": side.table["private_key"]}
    settings = KINDS["lantern"].settings.model_validate({"gateway": "lantern", **swapped})
    assert [name for name, _ in settings.problems()] == ["private_key", "lantern_key"]
