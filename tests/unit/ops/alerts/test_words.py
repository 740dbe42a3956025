from __future__ import annotations

from reconciler.ops.alerts.words import LINE_BYTES_MAX, Voice, cut, fitted
from reconciler.ops.mask import Mask


def test_what_is_long_is_cut_between_two_characters_and_says_so() -> None:
    assert cut("订单订单", 8) == "订…"
    assert len(cut("订" * 999, 100).encode()) <= 100
    assert cut("short", 5) == "short"


def test_a_line_is_masked_before_it_is_cut_and_cannot_pass_for_two() -> None:
    mask = Mask()
    mask.never_print(["swordfish-swordfish"])
    voice = Voice("shop", mask.text)
    line = voice.line("x" * (LINE_BYTES_MAX - 10) + " swordfish-swordfish")
    assert "sword" not in line
    assert voice.line("a\nb\x1b[31m c\u202ed") == "a b\\x1b[31m c\\u202ed"
    assert voice.line('{"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}') == '{"openid": "***"}'


def test_what_matters_is_kept_and_of_the_rest_as_much_as_fits() -> None:
    more = [f"{number} {'x' * 50}" for number in range(10)]
    text = fitted(["first"], more, ["last"], 200)
    assert text.splitlines()[0] == "first"
    assert text.splitlines()[-1] == "last"
    assert 1 < len(text.splitlines()) - 2 < 10
    assert len(text.encode()) <= 200
