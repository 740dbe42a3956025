"""An entry as an auditor gets it: complete enough to check hash, chain, evidence and signature without this program.

Every text that a hash covers stands there to the letter. Keep-the-ledger, in docs/how-to, says how to check it.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.ledger.values import from_us
from reconciler.ledger.walk import Step

COLUMNS = (
    "entry",
    "at",
    "kind",
    "order_key",
    "order_no",
    "channel",
    "out_trade_no",
    "transaction_id",
    "amount_fen",
    "currency",
    "body",
    "at_us",
    "previous",
    "hash",
    "evidence_digest",
    "evidence_gateway",
    "evidence_request",
    "evidence_status",
    "evidence_headers",
    "evidence_body",
    "evidence_body_encoding",
    "evidence_received_at",
    "signature",
    "key_fingerprint",
    "key_pem",
)
GUARD = "'"
_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", GUARD, "＝", "＋", "－", "＠")
"""What a spreadsheet takes for the beginning of a formula, Chinese ones the full-width signs too."""

Plain = str | int | None


@dataclass(frozen=True, slots=True)
class _Body:
    text: str
    encoding: str


def record(step: Step) -> dict[str, Plain]:
    """Lay an entry out flat, as it stands in its rows; what is not there, or was pruned, is None."""
    row = step.row
    evidence: Mapping[str, Any] = dict(step.evidence or {})
    told = _object(row.body)
    headers, body = evidence.get("headers"), evidence.get("body")
    shown = _shown(body) if isinstance(body, bytes) else None
    values: dict[str, Any] = {
        "entry": row.id,
        "at": _at(row.at),
        "kind": row.kind,
        "order_key": row.order_key,
        "order_no": row.order_no,
        "channel": row.channel,
        "out_trade_no": row.out_trade_no,
        "transaction_id": told.get("transaction_id"),
        "amount_fen": told.get("amount_fen"),
        "currency": told.get("currency"),
        "body": row.body,
        "at_us": row.at,
        "previous": row.previous,
        "hash": row.hash,
        "evidence_digest": row.evidence_digest,
        "evidence_gateway": evidence.get("gateway"),
        "evidence_request": evidence.get("request"),
        "evidence_status": evidence.get("status"),
        "evidence_headers": headers,
        "evidence_body": shown.text if shown else body,
        "evidence_body_encoding": shown.encoding if shown else None,
        "evidence_received_at": evidence.get("received_at"),
        "signature": _signature(headers, body),
        "key_fingerprint": evidence.get("key_fingerprint"),
        "key_pem": step.key.pem if step.key is not None else None,
    }
    return {name: _plain(values[name]) for name in COLUMNS}


def jsonl(records: Iterable[Mapping[str, Plain]], *, first: bool) -> bytes:  # noqa: ARG001 # as `table`, and it has no heading
    """Write one JSON object a line, in ASCII."""
    return "".join(json.dumps(item, ensure_ascii=True, allow_nan=False) + "\n" for item in records).encode()


def table(records: Iterable[Mapping[str, Plain]], *, first: bool) -> bytes:
    """Write CSV (RFC 4180, UTF-8, every cell quoted), its heading before the first page.

    A cell that a spreadsheet would take for a formula begins with an apostrophe, and so does one that had an
    apostrophe at its beginning: take one off, and it is what it was. Empty is nothing; a text that is empty is `'`.
    """
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL)
    if first:
        writer.writerow(COLUMNS)
    writer.writerows([_cell(item[name]) for name in COLUMNS] for item in records)
    return written.getvalue().encode()


def _cell(value: Plain) -> str:
    if value is None:
        return ""
    text = str(value)
    return GUARD + text if not text or text.startswith(_FORMULAS) else text


def _plain(value: object) -> Plain:
    """Let through what a ledger holds; show whatever else somebody put there (SQLite keeps anything)."""
    return value if value is None or isinstance(value, str | int) else repr(value)


def _at(at: object) -> str | None:
    try:
        return from_us(at).isoformat(timespec="microseconds") if isinstance(at, int) else None
    except OverflowError:
        return None


def _shown(body: bytes) -> _Body:
    """Give text as text where every byte comes back from it, else base64."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return _base64(body)
    readable = all(character >= " " or character in "\t\r\n" for character in text)
    return _Body(text, "utf-8") if readable else _base64(body)


def _base64(body: bytes) -> _Body:
    return _Body(base64.b64encode(body).decode(), "base64")


def _signature(headers: object, body: object) -> str | None:
    """Find the signature, to show it: in a header that is named so, else in the body's member `sign`.

    Gateways have it in one of the two; what it covers is for the gateway's own rules to say.
    """
    for name, value in _pairs(headers):
        if name.lower().endswith("signature"):
            return value
    found = _object(body).get("sign")
    return found if isinstance(found, str) else None


def _pairs(headers: object) -> list[tuple[str, str]]:
    try:
        return [(str(name), str(value)) for name, value in json.loads(str(headers))]
    except (ValueError, TypeError, RecursionError):
        return []


def _object(text: object) -> Mapping[str, Any]:
    """Read a JSON object, of which nothing is believed; anything else has no members."""
    try:
        found = json.loads(text) if isinstance(text, str | bytes) else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
