"""Fixtures of the flow's tests."""

from __future__ import annotations

import pytest

from tests.unit.flow.bench import Bench


@pytest.fixture
def bench() -> Bench:
    """Give an empty shop, a silent gateway, an empty ledger."""
    return Bench()
