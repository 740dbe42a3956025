"""Fixtures of the acceptance suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.receiver import Receiver, receiving
from tests.acceptance.world import World, world


@pytest.fixture(name="world")
async def world_fixture(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Give a shop made by hand, gateways on loopback, and the real program beside them.

    The shop is kept on SQLite, but where a test's `parametrize` names another kind.
    """
    async with world(tmp_path, getattr(request, "param", "sqlite")) as made:
        yield made


@pytest.fixture(name="receiver")
async def receiver_fixture() -> AsyncIterator[Receiver]:
    """Give somebody on this machine who is told."""
    async with receiving() as made:
        yield made
