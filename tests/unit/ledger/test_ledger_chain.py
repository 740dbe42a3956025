from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from reconciler.ledger.chain import NOTHING, EntryRow, hash_of
from reconciler.ledger.values import TEXT_LENGTH_MAX, canonical, clean, from_us, to_us

ROW = EntryRow(2, 1_700_000_000_000_000, "settled", "1", "A1", "alipay-main", "N1", "{}", "e" * 64, NOTHING)
OTHERS = {"id": 3, "at": 0, "evidence_digest": None, "order_key": None, "channel": None}


@pytest.mark.parametrize("name", [field.name for field in fields(EntryRow) if field.name != "hash"])
def test_the_hash_covers_every_field(name: str) -> None:
    changed = {field.name: getattr(ROW, field.name) for field in fields(EntryRow)} | {name: OTHERS.get(name, "other")}
    assert hash_of(EntryRow(**changed)) != hash_of(ROW)


def test_the_hash_is_fixed_for_ever() -> None:
    assert hash_of(ROW) == "ad0edb3d15253014a77525ae718e0773596630a4fdd233da300d47065e3e0898"


def test_text_cannot_move_from_one_field_to_the_next() -> None:
    assert hash_of(replace(ROW, order_no="A", out_trade_no="1N1")) != hash_of(replace(ROW, order_no="A1"))
    assert hash_of(replace(ROW, order_key="")) != hash_of(replace(ROW, order_key=None))


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=8))])
def test_times_keep_their_microseconds(zone: timezone) -> None:
    at = datetime(2026, 11, 23, 16, 0, 0, 999_999, tzinfo=zone)
    assert from_us(to_us(at)) == at


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        to_us(datetime(2026, 11, 23))  # noqa: DTZ001 # the point of the test


def test_words_of_a_stranger_are_bounded_and_storable() -> None:
    assert clean("a\0b\ud800c") == "a\N{REPLACEMENT CHARACTER}b?c"
    assert len(clean("订" * 5000)) == TEXT_LENGTH_MAX


def test_canonical_json_is_one_for_one_value() -> None:
    assert canonical({"b": 1, "a": "订"}) == canonical({"a": "订", "b": 1}) == '{"a":"\\u8ba2","b":1}'
    with pytest.raises(ValueError, match="JSON"):
        canonical({"a": float("nan")})
