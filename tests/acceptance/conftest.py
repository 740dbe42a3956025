"""Fixtures of the acceptance suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.world import World, world


@pytest.fixture(name="world")
async def world_fixture(tmp_path: Path) -> AsyncIterator[World]:
    """Give a shop made by hand, gateways on loopback, and the real program beside them."""
    async with world(tmp_path) as made:
        yield made
