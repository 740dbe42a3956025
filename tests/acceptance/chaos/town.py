"""One shop, both gateways, buyers who come and go, as many daemons as a test wants; and what must hold at the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from reconciler.sandbox.trade import GatewayKind, State, Trade
from tests.acceptance.chaos.daemons import Daemon, Nursery
from tests.acceptance.chaos.shop import BY_CALLBACK, LEFT_ALONE, Seen, ShopDatabase
from tests.acceptance.world import CLOSED, PAID, PENDING, SHANGHAI, TellingBook, World
from tests.integration.databases import connected

QUIET_WITHIN_S: Final = 240.0
CHANNELS: Final = 2
"""Each may have one last word on its tongue."""
LOOK_EVERY_S: Final = 0.2
AGE: Final = timedelta(minutes=6)
"""Of every order that is placed: it is due at once."""
EAGER: Final = '[find]\nevery = "100ms"\n[audit]\nrate = 0\n'
HURRIED: Final = """grace = "0s"
max_per_minute = 1000000
brake_per_hour = 1000000
brake_yuan_per_hour = "1000000000.00"
"""


class Fate(Enum):
    """What became of an order at the gateway, and in the shop."""

    LOST = "paid, and the callback was lost"
    CALLED_BACK = "paid, and the callback comes a moment later"
    UNPAID = "never paid"
    SHORT = "paid, but a fen too little"
    LATE = "paid after the shop had closed it"
    REFUNDED = "paid, and refunded since"


CROWD: Final = {Fate.LOST: 70, Fate.CALLED_BACK: 12, Fate.UNPAID: 9, Fate.SHORT: 3, Fate.LATE: 3, Fate.REFUNDED: 3}
CASES: Final = {Fate.SHORT: "amount_mismatch", Fate.LATE: "late_payment", Fate.REFUNDED: "refunded_while_pending"}
MOVED: Final = frozenset({Fate.LOST, Fate.CALLED_BACK})
CALLBACK: Final = (
    "UPDATE orders SET status = 1, transaction_id = :transaction, paid_at = :at, note = :note"
    " WHERE order_no = :order_no AND status = 0"
)


class Reached(World):
    """A world whose shop is wherever we say, for the sake of its configuration."""

    at: str = ""

    @property
    def url(self) -> str:
        """The shop's database, as the configuration has it."""
        return self.at


@dataclass
class Town:
    """One shop and all around it."""

    world: Reached
    shop: ShopDatabase
    nursery: Nursery
    chance: random.Random
    ledger: str
    """The ledger's URL."""
    fates: dict[str, Fate] = field(default_factory=dict)
    trades: dict[str, Trade] = field(default_factory=dict)
    cut_short: int = 0
    """How often a daemon or its connections were cut off, so that its last words may be missing in the log."""
    by: str = "update"
    """What `settle.by` is."""
    callbacks: set[asyncio.Task[object]] = field(default_factory=set)
    unproven: set[Fate] = field(default_factory=set)
    """Fates of orders that need not be moved, or become the case they would be, as long as they become any."""
    done: Counter[str] = field(default_factory=Counter)
    """What was done to it, and what came of that: counted up over all tests, and shown at the end (count.py)."""

    @property
    def directory(self) -> Path:
        """A place for files."""
        return self.world.directory

    @property
    def book(self) -> TellingBook:
        """What the gateways know."""
        return self.world.book

    def configure(self, name: str, settle: str = f"[settle]\n{HURRIED}", ledger: str | None = None) -> Path:
        """Write the configuration of one daemon: a control socket of its own, the shop and the ledger of all."""
        path = self.world.configuration(name, extra=EAGER + settle)
        own = f"sqlite:///{self.directory}/{name}-ledger.db"
        path.write_text(path.read_text().replace(own, ledger or self.ledger))
        return path

    async def start(self, config: Path, clock: Path | None = None) -> Daemon:
        """Start `reconciler run`."""
        return await self.nursery.start("run", "--config", str(config), clock=clock)

    # ------------------------------------------------------------------------------------------------------ the buyers

    async def order(self, fate: Fate | None = None) -> str:
        """Let somebody order; his payment has the fate that is drawn, where none is given."""
        fate = fate or self.chance.choices(list(CROWD), list(CROWD.values()))[0]
        number = f"T{len(self.fates):05d}"
        self.fates[number] = fate
        channel = self.chance.choice(("alipay", "wechat"))
        fen = self.chance.randrange(100, 50_000)
        now = datetime.now(UTC)
        if fate is not Fate.UNPAID:
            trade = Trade(
                GatewayKind(channel),
                number,
                fen - (fate is Fate.SHORT),
                opened_at=now - timedelta(minutes=4),
                paid_at=now - timedelta(minutes=4),
                refunded_at=now - timedelta(minutes=1) if fate is Fate.REFUNDED else None,
            )
            self.book.put(trade)
            self.trades[number] = trade
        created = (now - AGE).astimezone(SHANGHAI).replace(tzinfo=None, microsecond=0)
        with contextlib.suppress(IntegrityError):  # placed a moment ago; the answer was lost
            await self.shop.execute(
                "INSERT INTO orders (order_no, amount, status, pay_channel, created_at, note)"
                " VALUES (:no, :amount, :status, :channel, :created, :note)",
                no=number, amount=Decimal(fen) / 100, status=CLOSED if fate is Fate.LATE else PENDING,
                channel=channel, created=created, note=LEFT_ALONE,
            )  # fmt: skip
        if fate is Fate.CALLED_BACK:
            self.call_back_after(number, self.chance.uniform(0, 0.3))
        return number

    def call_back_after(self, number: str, seconds: float) -> None:
        """Let the gateway's callback arrive in a while at the shop's own code, which has its guard."""

        async def work() -> None:
            await asyncio.sleep(seconds)
            await self.call_back(number)

        task: asyncio.Task[object] = asyncio.create_task(work())
        self.callbacks.add(task)

    async def call_back(self, number: str) -> None:
        """Be the shop's own code when the callback has come."""
        trade = self.trades[number]
        now = datetime.now(SHANGHAI).replace(tzinfo=None, microsecond=0)
        await self.shop.execute(CALLBACK, transaction=trade.transaction_id, at=now, note=BY_CALLBACK, order_no=number)

    @contextlib.asynccontextmanager
    async def buyers(self, every_s: float) -> AsyncIterator[None]:
        """Let somebody order every so often, for as long as the block runs."""
        gone = asyncio.Event()

        async def come() -> None:
            while not gone.is_set():
                await self.order()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(gone.wait(), self.chance.uniform(0, 2 * every_s))

        coming = asyncio.create_task(come())
        try:
            yield
        finally:
            gone.set()
            await coming

    # --------------------------------------------------------------------------------------------------------- the end

    async def until(self, true: Callable[[], Awaitable[object]], what: str, within_s: float = QUIET_WITHIN_S) -> None:
        """Wait for what other processes do; nothing tells us of it but looking."""
        try:
            async with asyncio.timeout(within_s):
                while not await true():  # noqa: ASYNC110 # another process wakes no event of ours
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            raise AssertionError(f"within {within_s:g} s not: {what}\n{await self.story(what)}") from None

    async def moved(self, *numbers: str) -> None:
        """Wait until these orders (all that ought to be moved, where none are named) are moved."""
        await self.until(lambda: self._are_moved(numbers), "every order that was paid is moved")

    async def _are_moved(self, numbers: tuple[str, ...]) -> bool:
        wanted = set(numbers or (no for no, fate in self.fates.items() if fate in MOVED - self.unproven))
        statuses = await self.shop.statuses()
        return all(statuses.get(number) == PAID for number in wanted)  # its row comes a moment after its fate

    async def written(self, statement: str) -> list[tuple[Any, ...]]:
        """Read from the ledger, behind its back."""
        async with connected(self.ledger) as ledger:
            return [tuple(row) for row in await ledger.execute(text(statement))]

    async def comes_to_rest(self, config: Path, *others: Path) -> None:
        """Wait until each order is where it belongs; stop whoever runs; check everything.

        `others` are configurations with ledgers of their own: what they left open is closed by a pass of each.
        """
        await asyncio.gather(*self.callbacks)
        await self.moved()
        await self.until(lambda: self._are_cases(config), "every case is opened")
        await self.until(lambda: self._is_nothing_lost(config), "every paid order is moved, or a case")
        if not others:
            await self.until(lambda: self._is_done(config), "no intention is open")
        for daemon in self.nursery.born:
            if daemon.is_alive:
                assert await daemon.stop() == 0, "".join(daemon.raw[-20:])
        for each in (config, *others) if others else ():
            once = await self.nursery.start("run", "--once", "--config", str(each))
            assert await once.ends() in {0, 1}, "".join(once.raw[-20:])
        await self.check(config)
        for each in others:
            await self._is_sound(each)

    async def json(self, config: Path, *words: str) -> Any:  # noqa: ANN401 # whatever the command documents
        """Run a command with --json; give what it printed."""
        code, output = await self.nursery.command(*words, "--config", str(config), "--json")
        assert code == 0, output
        return json.loads(output)

    async def cases(self, config: Path) -> dict[str, set[str]]:
        """Give the open cases: order_no to kinds."""
        found: dict[str, set[str]] = {}
        for case in await self.json(config, "cases", "list"):
            found.setdefault(case["order_no"], set()).add(case["kind"])
        return found

    async def _are_cases(self, config: Path) -> bool:
        cases = await self.cases(config)
        wanted = [(no, CASES[fate]) for no, fate in self.fates.items() if fate in CASES and fate not in self.unproven]
        return all(kind in cases.get(number, set()) for number, kind in wanted)

    async def _is_done(self, config: Path) -> bool:
        status = await self.json(config, "status")
        return bool(status["open_intentions"] == 0)

    async def check(self, config: Path) -> None:
        """Check what was promised, whatever has happened."""
        moves, cases = await self.shop.moves(), await self.cases(config)
        await self._moved_at_most_once(moves)
        await self._moved_only_what_is_paid(moves)
        lost = self._lost((move.order_no for move in moves), cases)
        assert not lost, [await self.story(number) for number in lost]
        self._log_agrees(moves)
        await self._is_sound(config)
        faults = [(one.name, line) for one in self.nursery.born for line in one.lines if line["event"] in FAULTS]
        assert not faults, faults

    async def _is_sound(self, config: Path) -> None:
        assert await self._is_done(config), "an intention is open"
        code, output = await self.nursery.command("ledger", "verify", "--config", str(config))
        assert (code, output.splitlines()[-1]) == (0, "sound"), output

    async def _moved_at_most_once(self, moves: list[Seen]) -> None:
        often = {number: count for number, count in Counter(move.order_no for move in moves).items() if count > 1}
        assert not often, [await self.story(number) for number in often]
        strange = [move for move in moves if (move.was, move.became) != (PENDING, PAID)]
        assert not strange, [await self.story(move.order_no) for move in strange]

    async def _moved_only_what_is_paid(self, moves: list[Seen]) -> None:
        found = await self.shop.rows("SELECT order_no, status, amount, pay_channel, transaction_id FROM orders")
        rows = {number: facts for number, *facts in found}
        now = datetime.now(UTC)
        for move in moves:
            status, amount, channel, transaction = rows[move.order_no]
            trade = self.book.get(GatewayKind(channel), move.order_no)
            assert trade is not None, await self.story(move.order_no)
            proof = (trade.state_at(now), trade.amount_fen, trade.transaction_id)
            assert (State.PAID, int(amount * 100), transaction) == proof, await self.story(move.order_no)
            assert status == PAID, await self.story(move.order_no)
        unseen = {number for number, facts in rows.items() if facts[0] == PAID} - {move.order_no for move in moves}
        assert not unseen, "the witness itself failed"

    def _lost(self, moved: Iterable[str], cases: dict[str, set[str]]) -> set[str]:
        paid = {number for number, fate in self.fates.items() if fate is not Fate.UNPAID}
        return paid.difference(moved, cases)

    async def _is_nothing_lost(self, config: Path) -> bool:
        moved = (number for number, status in (await self.shop.statuses()).items() if status == PAID)
        return not self._lost(moved, await self.cases(config))

    def _log_agrees(self, moves: list[Seen]) -> None:
        """Nothing is said that the witness has not seen, nothing twice; what we moved is said, but for the last words.

        A daemon that is killed between a commit and its line cannot say that line. The ledger has it all the same.
        """
        lines = [line for daemon in self.nursery.born for line in daemon.lines]
        settled = Counter(line["order_no"] for line in lines if line["event"] == "order.settled")
        recovered = [line for line in lines if line["event"] == "settle.recovered" and _says_settled(line)]
        everything = {move.order_no for move in moves}
        ours = {move.order_no for move in moves if move.note != BY_CALLBACK}
        assert not [number for number, count in settled.items() if count > 1], "said to be settled twice"
        # The shop's own code says yes, too, to a message that came after the callback.
        ought = ours if self.by == "update" else everything
        assert settled.keys() <= ought, sorted(settled.keys() - ought)
        found_moved = {line["order_no"] for line in recovered}
        won = {line["order_no"] for line in lines if line["event"] == "order.callback_won"}
        assert found_moved | won <= everything, sorted((found_moved | won) - everything)
        unsaid = ours - settled.keys() - found_moved - won
        assert len(unsaid) <= CHANNELS * self.cut_short, f"moved by us, and nobody said so: {sorted(unsaid)}"
        self.done.update(orders=len(self.fates), moved=len(moves), processes=len(self.nursery.born))
        ends = Counter(line["event"] for line in lines if line["event"] in COUNTED)
        print(  # noqa: T201 # with pytest -s: whether enough has happened
            f"{len(self.fates)} orders, {len(moves)} moved, {len(ours)} by us, {len(unsaid)} of them unsaid;"
            f" {len(recovered)} found moved; cut short {self.cut_short} times, {len(self.nursery.born)} processes;",
            ", ".join(f"{name} {count}" for name, count in sorted(ends.items())),
        )

    async def story(self, words: str) -> str:
        """Tell what was logged about an order, by whom, and how its row looks; of anything else: what all said last."""
        said = [
            f"{daemon.name}: {text.rstrip()}" for daemon in self.nursery.born for text in daemon.raw if words in text
        ]
        rows = await self.shop.rows("SELECT * FROM orders WHERE order_no = :no", no=words)
        if rows:
            return "\n".join([f"{words} ({self.fates[words].value}): {rows}", *said])
        last = [
            f"{daemon.name}{'' if daemon.is_alive else ' (ended)'}: {text.rstrip()}"
            for daemon in self.nursery.born[-8:]
            for text in daemon.raw[-8:]
        ]
        statuses = await self.shop.statuses()
        waiting = [no for no, fate in self.fates.items() if fate in MOVED and statuses.get(no) != PAID]
        return "\n".join([f"not moved: {waiting[:20]} ({len(waiting)})", *last])


FAULTS: Final = frozenset({"turn.failed", "daemon.failed"})
COUNTED: Final = frozenset(
    {"order.settled", "order.callback_won", "settle.recovered", "lead.taken", "lead.lost", "lead.overtaken"}
    | {"shop.unavailable", "ledger.unavailable", "case.opened"}
)


def _says_settled(line: dict[str, Any]) -> bool:
    return str(line["outcome"]).startswith("settled: ")
