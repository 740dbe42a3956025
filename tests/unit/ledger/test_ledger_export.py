"""How one entry looks in an export: to the letter, and harmless to a spreadsheet."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.ledger.chain import NOTHING, EntryRow
from reconciler.ledger.export import COLUMNS, Plain, jsonl, record, table
from reconciler.ledger.walk import Step

ROW = EntryRow(2, 1_795_420_800_000_001, "settled", "1", "A1", "alipay-main", "N1", "{}", "e" * 64, NOTHING, "f" * 64)


def step(row: EntryRow = ROW, **evidence: object) -> Step:
    kept: Any = evidence or None
    return Step(row, kept, None)


def cells(records: list[Mapping[str, Plain]]) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table(records, first=False).decode(), newline="")))


def unguarded(cell: str) -> str | None:
    """Read a cell as the page says."""
    return cell.removeprefix("'") if cell else None


def test_an_entry_without_evidence_has_every_column_and_nothing_in_some() -> None:
    told = record(step())
    assert tuple(told) == COLUMNS
    assert (told["entry"], told["at"], told["at_us"]) == (2, "2026-11-23T08:00:00.000001+00:00", ROW.at)
    assert {name for name, value in told.items() if value is None} == {
        name for name in COLUMNS if name.startswith(("evidence_", "key_")) and name != "evidence_digest"
    } | {"signature", "transaction_id", "amount_fen", "currency"}


def test_amount_and_transaction_come_from_the_body_where_it_says_them() -> None:
    body = '{"amount_fen":9900,"currency":"CNY","transaction_id":"T1"}'
    told = record(step(EntryRow(2, 0, "settled", None, "", None, "", body, None, NOTHING)))
    assert (told["amount_fen"], told["currency"], told["transaction_id"], told["body"]) == (9900, "CNY", "T1", body)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b'{"a":"\xe8\xae\xa2\xe5\x8d\x95"}\r\n\t', "utf-8"),
        (b"", "utf-8"),
        (b"\xff{", "base64"),
        (b"a\0b", "base64"),
        (b"\x1b[31m", "base64"),
    ],
)
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_body_comes_back_byte_for_byte(body: bytes, encoding: str, form: str) -> None:
    told = record(step(body=body, headers="[]"))
    assert told["evidence_body_encoding"] == encoding
    if form == "jsonl":
        text = json.loads(jsonl([told], first=True))["evidence_body"]
    else:
        text = unguarded(cells([told])[0][COLUMNS.index("evidence_body")])
    assert (base64.b64decode(text) if encoding == "base64" else text.encode()) == body


@pytest.mark.parametrize(
    ("headers", "body", "signature"),
    [
        ('[["Lantern-Signature","abc"]]', b"{}", "abc"),
        ("[]", b'{"sign":"abc"}', "abc"),
        ("[]", b'{"sign":5}', None),
        ("[]", b'["sign"]', None),
        ("nonsense", b"\xff", None),
        ("[1]", b"[" * 100_000, None),
    ],
)
def test_a_signature_is_shown_where_it_is_found(headers: str, body: bytes, signature: str | None) -> None:
    assert record(step(headers=headers, body=body))["signature"] == signature


def test_what_no_column_should_hold_is_shown_and_no_end() -> None:
    odd: Any = EntryRow(2, "x", b"\0", None, 1.5, None, "", b"{}", None, NOTHING)  # type: ignore[arg-type] # what SQLite keeps
    told = record(step(odd, body=10**12, headers=b"\xff"))
    assert (told["at"], told["kind"], told["order_no"]) == (None, "b'\\x00'", "1.5")
    assert jsonl([told], first=True).endswith(b"\n")
    assert record(step(EntryRow(2, 10**20, "", None, "", None, "", "{}", None, NOTHING)))["at"] is None


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠"])
def test_no_cell_begins_like_a_formula_and_each_can_be_read_back(begins: str) -> None:
    text = f"{begins}HYPERLINK(\"x\";'y')"
    row = EntryRow(-2, -5, text, text, text, text, text, text, None, NOTHING)
    written = cells([record(step(row))])[0]
    assert not any(cell.startswith(begins) for cell in written if not cell.startswith("'"))
    for name in ("kind", "order_key", "order_no", "channel", "out_trade_no", "body"):
        assert written[COLUMNS.index(name)] == f"'{text}"
    assert (written[0], unguarded(written[0])) == ("'-2", "-2")


@given(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))))
def test_any_text_is_read_back_as_it_was_and_none_is_not_the_empty_one(text: str | None) -> None:
    row = EntryRow(1, 0, "kind", text, "", None, "", "{}", None, NOTHING)
    (written,) = cells([record(step(row))])
    assert unguarded(written[COLUMNS.index("order_key")]) == text


def test_the_heading_stands_before_the_first_page_alone() -> None:
    told = record(step())
    assert table([told], first=True).splitlines()[0].decode() == ",".join(f'"{name}"' for name in COLUMNS)
    assert len(table([told], first=False).splitlines()) == 1
    assert jsonl([told], first=True) == jsonl([told], first=False)
