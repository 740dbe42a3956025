"""An empty database of each kind for a ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.databases import Database
from tests.integration.databases import database as database_of


@pytest.fixture
async def base(kind: str, tmp_path: Path) -> AsyncIterator[Database]:
    """Give a database of the kind that the test is parametrised with."""
    async with database_of(kind, tmp_path) as made:
        yield made
