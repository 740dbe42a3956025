"""A world in which something is to go wrong, and somebody who is told of it."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.moving_clock import MovingClock
from tests.acceptance.past_hours import remember
from tests.acceptance.receiver import Receiver
from tests.acceptance.world import Process, World, until

FIND = '[find]\nevery = "100ms"\n'


@dataclass
class Scene:
    """One event is to happen in it: `event`."""

    world: World
    clock: MovingClock
    receiver: Receiver
    event: str
    until_the_end: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def config(self) -> Path:
        """The daemon's configuration."""
        return self.world.directory / "a.toml"

    @property
    def ledger(self) -> Path:
        """The daemon's ledger."""
        return self.world.directory / "a-ledger.db"

    def configure(self, more: str = "", port: int = 0) -> None:
        """Write the configuration: one target is told of this event alone, another (where it listens) of all."""
        everything = self.receiver.target(self.world.directory, "everything", port)
        this = self.receiver.target(self.world.directory, self.event)
        self.world.configuration(
            extra=f'{FIND}[alerts]\ntargets = ["{everything}"]\n[alerts.also]\n"{self.event}" = ["{this}"]\n{more}'
        )

    def mark(self, name: str) -> str:
        """Read a mark of the ledger; empty where there is none."""
        with contextlib.closing(sqlite3.connect(self.ledger)) as ledger:
            found = ledger.execute("SELECT value FROM marks WHERE name = ?", [name]).fetchone()
        return str(found[0]) if found else ""

    def change(self, was: str, becomes: str) -> None:
        """Change what the configuration says."""
        text = self.config.read_text()
        assert was in text
        self.config.write_text(text.replace(was, becomes))

    async def lead(self) -> Process:
        """Start the daemon, and wait until it leads and can be spoken to."""
        daemon = await self.world.start(self.config)
        await daemon.until("lead.taken")
        await until((self.world.directory / "a.sock").exists)
        return daemon

    async def lead_after_two_weeks(self) -> Process:
        """Have what is due asked about, after two weeks in which nothing was unusual; then start the daemon."""
        code, said, log = await self.world.once(self.config)
        assert code == 0, "".join([said, *log.raw])
        remember(self.ledger, "alipay-main")
        return await self.lead()

    def buy(self, *order_nos: str, paid_fen: int = 9900, channel: str = "alipay") -> None:
        """Let somebody order and pay; the callbacks are lost."""
        for order_no in order_nos:
            self.world.order(order_no, channel=channel)
            self.world.pay(order_no, fen=paid_fen, channel=channel)

    async def command(self, *words: str) -> str:
        """Run a command; give what it says."""
        code, said = await self.world.command(self.config, *words)
        assert code == 0, said
        return said
