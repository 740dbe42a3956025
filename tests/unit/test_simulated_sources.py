"""Runs of the simulation add up while the code that they simulate stays: not its comments."""

import pytest

from tests.simulation.__main__ import code_of

CODE = '''
LIMIT = 5
"""How many."""

def shown(text):
    """Show it."""
    return text * LIMIT  # as often
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [("Show it.", "Show it well."), ("# as often", ""), ('"""How many."""', ""), ("text * LIMIT", "(text*LIMIT)")],
)
def test_what_code_says_of_itself_makes_no_other_sources(old: str, new: str) -> None:
    assert code_of(CODE.replace(old, new)) == code_of(CODE)


@pytest.mark.parametrize(("old", "new"), [("= 5", "= 6"), ("text *", "text +"), ("shown", "said")])
def test_other_code_makes_other_sources(old: str, new: str) -> None:
    assert code_of(CODE.replace(old, new)) != code_of(CODE)
