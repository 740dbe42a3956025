from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconciler.sandbox.book import Book
from reconciler.sandbox.keys import Keys, make_keys


@pytest.fixture(scope="session")
def keys() -> Keys:
    return make_keys()


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)  # 12:05:06 in Beijing
