"""The disk that the ledger is on fills up, and has room again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.chaos.daemons import Daemon
from tests.acceptance.chaos.town import Fate, Town

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

TURNS: Final = 5
DISK: Final = "24m"
CHUNK_BYTES: Final = 4096


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
async def test_a_full_disk_stops_settling_and_room_lets_it_go_on(town: Town, chance: random.Random) -> None:
    place = town.directory / "small"
    with small_disk(place) as is_own:
        town.ledger = f"sqlite:///{place}/ledger.db"
        config = town.configure("one")
        daemon = await town.start(config)
        await daemon.until("lead.taken")
        async with town.buyers(every_s=0.05):
            for turn in range(1, TURNS + 1):
                await asyncio.sleep(chance.uniform(0, 0.5))  # the moment is what is drawn
                with full(place) if is_own else no_room_for(daemon):
                    await daemon.until("ledger.unavailable", turn)
                    held = await town.order(Fate.LOST)
                    await asyncio.sleep(chance.uniform(0, 0.5))
                    assert held not in {move.order_no for move in await town.shop.moves()}
                await daemon.until("ledger.available", turn)
                await town.moved(held)
        await town.comes_to_rest(config)


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[bool]:
    """Give a small disk of its own where we may mount one; else False: a limit on the size of files must do."""
    place.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    can_mount = os.geteuid() == 0 and mount is not None and umount is not None
    mounted = can_mount and not subprocess.run(  # noqa: S603 # a test's own words
        [mount or "", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)], check=False, capture_output=True
    ).returncode  # fmt: skip
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run([umount or "", "--lazy", str(place)], check=True)  # noqa: S603 # the same


@contextlib.contextmanager
def full(place: Path) -> Iterator[None]:
    """Fill the disk to its last byte, for as long as the block runs."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(CHUNK_BYTES))
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def no_room_for(daemon: Daemon) -> Iterator[None]:
    """Let no file of the daemon's grow, for as long as the block runs: its log is a pipe, its ledger is a file."""
    unlimited = resource.RLIM_INFINITY
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (CHUNK_BYTES, unlimited))
    try:
        yield
    finally:
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
