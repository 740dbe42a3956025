"""What must be seen nowhere, and every way in which it could be written."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

OPENID = "oPlanted9Openid_0123-abcDEFG"
"""As long as one of WeChat's, in a gateway's words and pages."""
LOGON_ID = "planted.buyer@example.cn"
STARRED_LOGON_ID = "159****5620"
"""What the sandbox's Alipay calls the buyer in every answer."""
TELEPHONE = "13912345678"
USER_ID = "2088123412341234"
PERSONS: Mapping[str, str] = {
    "openid": OPENID,
    "logon id": LOGON_ID,
    "starred logon id": STARRED_LOGON_ID,
    "telephone": TELEPHONE,
    "user id": USER_ID,
    "the sandbox's buyer at Alipay": "SandboxBuyerOpenId",
    "the sandbox's buyer at WeChat": "sandboxbuyer",
    "a body of Alipay's": "fund_bill_list",
    "a body of WeChat's": "payer_total",
    "a page": "planted-page-of-a-proxy",
}
KEY_LINES = slice(3, 6)
"""Of a PEM key: some lines from its middle stand for all of it."""


@dataclass(frozen=True)
class Marks:
    """The planted texts, by what they are."""

    texts: Mapping[str, str]

    @classmethod
    def of(cls, keys: Path, **more: str) -> Marks:
        """Take the private keys and the APIv3 key of a sandbox's, the persons, and more secrets."""
        texts = dict(PERSONS) | more
        for name in ("alipay-app-key.pem", "wechat-merchant-key.pem"):
            for line in (keys / name).read_text().splitlines()[KEY_LINES]:
                texts[f"{name}: {line[:8]}…"] = line
        texts["wechat-apiv3-key"] = (keys / "wechat-apiv3-key").read_text().strip()
        return cls(texts)

    def found_in(self, output: str) -> list[str]:
        """Name what stands in a program's output, and what is around it."""
        return [
            f"{name}, written {way}: …{output[max(0, place - 80) : place + 80]!r}…"
            for name, text in self.texts.items()
            for way, face in _faces(text)
            if (place := output.find(face)) >= 0
        ]


def _faces(text: str) -> Iterator[tuple[str, str]]:
    raw = text.encode()
    yield from (("bare", text), ("in a URL", quote(text, safe="")), ("in a form", quote_plus(text)))
    yield from (("in JSON", json.dumps(text)[1:-1]), ("in JSON, escaped", json.dumps(json.dumps(text))[3:-3]))
    yield from (("in hex", raw.hex()), ("in capital hex", raw.hex().upper()))
    for before in range(3):
        # Neither the first sign nor the last ones: they depend on what stands beside.
        yield f"in base64 after {before}", base64.b64encode(b"\0" * before + raw).decode()[2 + before : -4]
