"""Fixtures of the acceptance suite."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from world import World, world  # noqa: E402 # the folder is no package: importlib mode


@pytest.fixture(name="world")
async def world_fixture(tmp_path: Path) -> AsyncIterator[World]:
    """Give a shop made by hand, gateways on loopback, and the real program beside them."""
    async with world(tmp_path) as made:
        yield made
