"""Field values as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.domain.case import CaseKind
from reconciler.domain.money import Money
from reconciler.ops.value import (
    ITEMS_MAX,
    TEXT_LENGTH_MAX,
    bounded,
    duration,
    moment,
    plain,
    quoted,
    text_of,
    visible,
)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(milliseconds=350), "350ms"),
        (timedelta(seconds=3.24), "3.2s"),
        (timedelta(seconds=3), "3s"),
        (timedelta(seconds=42, milliseconds=700), "42s"),
        (timedelta(minutes=4, seconds=12), "4m12s"),
        (timedelta(hours=2), "2h"),
        (timedelta(hours=2, seconds=9), "2h"),
        (timedelta(hours=2, minutes=5, seconds=9), "2h5m"),
        (timedelta(days=3, hours=4, minutes=9), "3d4h"),
        (timedelta(seconds=-4), "-4s"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(length: timedelta, text: str) -> None:
    assert duration(length) == text


@given(st.timedeltas(min_value=timedelta(-40_000), max_value=timedelta(40_000)))
def test_every_duration_can_be_written_as_one_word(length: timedelta) -> None:
    assert quoted(duration(length)) == duration(length)


def test_a_time_carries_an_offset_and_stays_the_same_moment() -> None:
    at = datetime(2026, 11, 23, 7, 4, 5, 123456, tzinfo=UTC)

    assert datetime.fromisoformat(moment(at)) == at.replace(microsecond=0)
    assert datetime.fromisoformat(moment(at, timespec="milliseconds")) == at.replace(microsecond=123000)


class Kind(Enum):
    PAIR = (1, "two")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Money(9900), "CNY 99.00"),
        (CaseKind.NEEDS_REVIEW, "needs_review"),
        (Kind.PAIR, [1, "two"]),
        (True, True),
        (7, 7),
        (float("nan"), "nan"),
        (b"\xffA", "�A"),
        (("a", Money(1)), ["a", "CNY 0.01"]),
        ({"a": 1}, "{'a': 1}"),
        (range(ITEMS_MAX * 2), str(range(ITEMS_MAX * 2))),
    ],
)
def test_values_are_reduced_to_text_numbers_and_lists(value: object, expected: object) -> None:
    assert plain(value) == expected


def test_lists_and_texts_are_bounded() -> None:
    assert len(plain([1] * 1000)) == ITEMS_MAX  # type: ignore[arg-type] # a list, as the line above says
    assert bounded("x" * (TEXT_LENGTH_MAX + 5)) == "x" * TEXT_LENGTH_MAX + "… (5 more)"
    assert bounded(["x" * 10], 4) == ["xxxx… (6 more)"]


def test_a_list_within_a_list_within_a_list_ends_as_text() -> None:
    assert plain([[[["deep"]]]]) == [[["['deep']"]]]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("alipay-main", "alipay-main"),
        ("CNY 99.00", "CNY 99.00"),
        ("CNY 99.00 order_no=A2", '"CNY 99.00 order_no=A2"'),
        ("CNY 99.00\n", '"CNY 99.00\\n"'),
        ("", '""'),
        ("a b", '"a b"'),
        ("a=b", '"a=b"'),
        ('say "no"', '"say \\"no\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("付款成功", "付款成功"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202eabc", "\\u202eabc"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_value_cannot_pass_for_another_field(text: str, written: str) -> None:
    assert quoted(text) == written


@given(st.text())
def test_whatever_is_written_is_printable_and_on_one_line(text: str) -> None:
    assert visible(text).isprintable()
    assert quoted(text).splitlines() == [quoted(text)]


def test_text_of_a_list_names_every_item() -> None:
    assert text_of(["a", True, 1.50, 3]) == "a, true, 1.5, 3"
