from __future__ import annotations

import pytest

from tests.unit.docs.book import Book


@pytest.fixture(scope="session")
def book() -> Book:
    return Book()
