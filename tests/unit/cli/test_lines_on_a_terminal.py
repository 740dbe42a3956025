"""What commands print on a terminal is broken between words, and goes on below its last column."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len

from reconciler.cli.wrap import fitting, wrapped

NUMBER = "2026113022001400002476779008"
ASKED = (
    "  2026-11-30T01:20:39+00:00  asked     Paid in 8 ms: amount_mismatch: paid, but not as ordered: "
    "amount CNY 0.01 at the gateway, CNY 88.00 in the shop"
)


def test_it_goes_on_below_where_its_last_column_begins() -> None:
    assert list(wrapped(ASKED, 120)) == [
        ASKED.partition(" gateway")[0],
        f"{' ' * 39}gateway, CNY 88.00 in the shop",
    ]
    why, below = wrapped(f"why       {'a ' * 20}b", 50)
    assert (why[10], below) == ("a", " " * 10 + "b")


def test_where_little_room_is_left_it_goes_on_further_to_the_left() -> None:
    first, *more = wrapped(ASKED, 72)
    assert first.endswith("Paid in 8 ms: amount_mismatch:")
    assert [len(line) - len(line.lstrip()) for line in more] == [29, 29]
    assert {len(line) - len(line.lstrip()) for line in list(wrapped(ASKED, 60))[1:]} == {2}


@pytest.mark.parametrize("cells", [20, 40, 80, 120, 300])
def test_no_word_is_broken_and_none_is_lost(cells: int) -> None:
    text = f"  ledger    settled (entry 21): {NUMBER}, 商户订单号 SO20261123000001 与网关相符, every fact agrees"
    lines = list(wrapped(text, cells))
    assert " ".join(lines).split() == text.split()
    assert all(cell_len(line) <= cells or len(line.split()) == 1 for line in lines), lines


def test_an_amount_stays_with_its_currency() -> None:
    assert list(wrapped("it has an amount of CNY 88.00 in all", 25)) == ["it has an amount of", "CNY 88.00 in all"]


def test_a_paragraph_goes_on_at_the_margin() -> None:
    assert list(wrapped("The ledger knows no order NOPE.", 20)) == ["The ledger knows no", "order NOPE."]


def test_in_a_pipe_a_line_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    stream = io.StringIO()
    assert list(fitting(ASKED, stream)) == [ASKED]
    monkeypatch.setattr(stream, "isatty", lambda: True)
    assert len(list(fitting(ASKED, stream))) > 2
