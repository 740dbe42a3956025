from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.domain.money import FEN_MAX, AmountError, Money

MUCH = settings(max_examples=500, deadline=None, database=None)
FEN = st.one_of(st.integers(0, 10_000), st.integers(0, FEN_MAX))


@pytest.mark.parametrize(
    ("yuan", "fen"),
    [
        ("0", 0),
        ("0.00", 0),
        ("0.01", 1),
        ("0.1", 10),
        ("99", 9900),
        ("99.00", 9900),
        ("99.000000", 9900),
        ("99.120", 9912),
        ("1." + "0" * 30, 100),
        ("099.90", 9990),
        (99, 9900),
        (Decimal("99.99"), 9999),
        (Decimal(99), 9900),
        ("10000000000000.00", FEN_MAX),
    ],
)
def test_yuan_are_taken_to_the_fen(yuan: str | int | Decimal, fen: int) -> None:
    assert Money.from_yuan(yuan) == Money(fen)


@pytest.mark.parametrize(
    "yuan",
    [
        "",
        " ",
        "-1",
        "+1",
        "-0.01",
        " 1",
        "1 ",
        "1\n",
        "\u00a01",
        "1e2",
        "1E2",
        "1E-2",
        "0x10",
        "1_000",
        "1,000.00",
        "1.",
        ".5",
        ".",
        "1.2.3",
        "NaN",
        "sNaN",
        "Infinity",
        "-Infinity",
        "inf",
        "９９.００",
        "٩٩",
        "²",
        "一",
        "¥99",
        "99元",
        "0.001",
        "0.005",
        "99.999",
        "1\x00",
        "9" * 33,
        "10000000000000.01",
        "9" * 20,
        Decimal(-1),
        "1." + "0" * 31,
        Decimal("0.001"),
        Decimal("1E+1"),
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        -1,
        10**14,
        10**40,
    ],
)
def test_what_is_no_amount_is_refused(yuan: str | int | Decimal) -> None:
    with pytest.raises(AmountError):
        Money.from_yuan(yuan)


@pytest.mark.parametrize("fen", [1.0, 99.5, True, False, "99", None, Decimal(99), -1, FEN_MAX + 1, float("nan")])
def test_fen_are_whole_numbers_within_their_limits(fen: Any) -> None:  # noqa: ANN401 # what the signature forbids
    with pytest.raises(AmountError):
        Money(fen)


@MUCH
@given(FEN)
def test_money_survives_the_way_through_yuan(fen: int) -> None:
    money = Money(fen)
    assert Money.from_yuan(money.yuan) == money
    assert Money.from_yuan(str(money.yuan)) == money
    assert Money.from_yuan(str(money).removeprefix("CNY ")) == money
    assert str(money.yuan) == str(money).removeprefix("CNY ")


@MUCH
@given(st.text(max_size=40))
def test_any_text_is_an_amount_or_refused_by_name(text: str) -> None:
    try:
        money = Money.from_yuan(text)
    except AmountError:
        return
    assert set(text) <= set("0123456789.")
    assert Decimal(text) * 100 == money.fen


@MUCH
@given(FEN, st.integers(3, 15).flatmap(lambda places: st.tuples(st.just(places), st.integers(1, 10**places - 1))))
def test_nothing_finer_than_a_fen_is_rounded(fen: int, fraction: tuple[int, int]) -> None:
    places, digits = fraction
    text = f"{fen}.{digits:0{places}d}"
    if digits % 10 ** (places - 2) == 0 or len(text) > 28:
        return
    with pytest.raises(AmountError):
        Money.from_yuan(text)


def test_a_currency_is_part_of_the_amount() -> None:
    assert Money(1, "USD") != Money(1)
    assert Money(1) == Money(1, "CNY")
    assert str(Money(5, "USD")) == "USD 0.05"
    for yuan in ("1", 1, Decimal(1)):
        assert Money.from_yuan(yuan, "USD") == Money(100, "USD")


def test_a_refusal_quotes_at_most_a_little_of_what_it_refuses() -> None:
    with pytest.raises(AmountError) as refused:
        Money.from_yuan("x" * 10_000)
    assert len(str(refused.value)) < 100


@pytest.mark.parametrize(
    ("yuan", "words"),
    [
        ("1e2", "'1e2' is not an amount"),
        ("99.999", "99.999 yuan is finer than a fen"),
        (Decimal("NaN"), "not a number"),
        (Decimal("1E+1"), "an exponent"),
        (-1, "less than nothing"),
        (10**14, f"more than {FEN_MAX}"),
    ],
)
def test_a_refusal_says_what_is_wrong(yuan: str | int | Decimal, words: str) -> None:
    with pytest.raises(AmountError, match=words):
        Money.from_yuan(yuan)


def test_fen_of_another_type_are_refused_by_the_name_of_it() -> None:
    with pytest.raises(AmountError, match="float"):
        Money(1.0)  # type: ignore[arg-type] # what a careless adapter would hand over
