"""What gives a person away: the gateways' names for whoever paid, and the shapes of what stands for one."""

from __future__ import annotations

import re
from typing import Final

PERSONAL_NAMES: Final = frozenset(
    {
        "openid",
        "sp_openid",
        "sub_openid",
        "open_id",
        "buyer_open_id",
        "buyer_logon_id",
        "buyer_user_id",
        "buyer_user_name",
        "buyer_user_type",
        "buyer_id",
        "payer",
    }
)
"""The gateways' names for the person who paid (gateways.md 1.4 and 2.5)."""
LEFT_OUT: Final = "[…]"
"""What stands in the place of a person in words that are not ours."""

_NAMED: Final = re.compile(
    rf"(?P<name>\b(?:{'|'.join(sorted(PERSONAL_NAMES))})\b"
    r"""(?:\\?["'])?\s*[:=：]\s*)(?P<quote>(?:\\?["'])?)(?P<value>[^\s"'\\,;&}<]+)""",
    re.IGNORECASE,
)
_SHAPES: Final = re.compile(
    r"[^\s@<>\"'(:=]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+"  # an address, starred or not
    r"|(?<![\w*])1\d{2}[\d*]{4}\d{4}(?![\w*])"  # a telephone's number in China, starred or not
    r"|(?<!\w)2088\d{12}(?!\w)"  # an account at Alipay
    # An openid, an Alipay open_id, a token: long, of capitals, small letters and digits. Order numbers, serials and
    # fingerprints have one case only.
    r"|(?<![A-Za-z0-9_-])(?=[A-Z0-9_-]*[a-z])(?=[a-z0-9_-]*[A-Z])(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{20,128}(?![A-Za-z0-9_-])"
)


def without_members(text: str, instead: str = LEFT_OUT) -> str:
    """Leave out of a text the values that stand under a person's names: `"openid":"…"`, `buyer_id=…`."""
    return _NAMED.sub(rf"\g<name>\g<quote>{instead}", text)


def without_persons(text: str, instead: str = LEFT_OUT) -> str:
    """Leave out of words that are not ours whatever looks like a person: for a log line, a case, the ledger's entries.

    A person's name cannot be told from other words, and stays.
    """
    return _SHAPES.sub(instead, without_members(text, instead))
