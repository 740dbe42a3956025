"""The real daemon and the shop-side endpoints: preset, MariaDB, gateway, `php -S`; from lost callback to delivery."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.ops.clock import SystemClock
from reconciler.sandbox.server import serve
from reconciler.sandbox.trade import Trade
from tests.acceptance.cradle import cradle
from tests.acceptance.world import TellingBook, is_an_end, until
from tests.integration.presets.shop_side.shops import SECRET, Site, site
from tests.integration.presets.shops import AGE, Shop
from tests.kept_keys import kept_keys

pytestmark = pytest.mark.acceptance

BOTH = pytest.mark.parametrize("preset", ["dujiaoka", "acg-faka"])
NUMBERS = [f"2026112300000{each:05d}" for each in range(9)]
MORE = {"dujiaoka": 'late_payment = "revive"', "acg-faka": ""}
ASK = {"dujiaoka": '[ask]\nchannels = "all"', "acg-faka": ""}
"""The lines that the presets' headers have for shops with the endpoint in place."""
WHOLE = {"dujiaoka": 4, "acg-faka": 1}


@dataclass
class Street:
    """The shop's web server, and what looks after its orders."""

    site: Site
    shop: Shop
    config: Path

    async def buy(self, number: str, card: str) -> Trade:
        """Let somebody order a card and pay; no callback arrives."""
        trade = self.shop.paid(number, 9900)
        await self.site.order(number, card, AGE)
        return trade

    async def is_delivered(self, *numbers: str) -> None:
        """See that each of these orders, and none else, was completed once: one card each, one mail each."""
        cards = []
        for number in numbers:
            status, _, card = await self.site.state(number)
            assert status == WHOLE[self.site.preset], number
            assert await self.site.mails(number) == [card], number
            cards.append(card)
        assert await self.site.sold() == sorted(cards)


@asynccontextmanager
async def street(preset: str, directory: Path, secret: str = SECRET.decode()) -> AsyncIterator[Street]:
    """Put them beside each other; `secret` is the one that the shop has."""
    book = TellingBook()
    keys = await asyncio.to_thread(kept_keys, directory / "keys")
    async with (
        site(preset, directory, secret=secret) as front,
        serve(keys, book, SystemClock()) as serving,
        cradle() as born,
    ):
        back = Shop(directory, serving, book, born, database=front.tables, preset=preset)
        ours = directory / "webhook-secret"
        await asyncio.to_thread(ours.write_bytes, SECRET)
        await asyncio.to_thread(ours.chmod, 0o600)
        more = f"""
{ASK[preset]}
[find]
every = "200ms"
[settle]
by = "webhook"
grace = "0s"
{MORE[preset]}
[settle.webhook]
url = "{front.url}"
secret = "file:{ours}"
"""
        try:
            yield Street(front, back, back.configured(more, alipay="shop_values = [1]", wechat="shop_values = [2]"))
        finally:
            for process in back.running:
                if process.process.returncode is None:
                    process.process.kill()
                    await process.ends()


@BOTH
async def test_each_payment_is_delivered_once_whoever_is_faster(preset: str, tmp_path: Path) -> None:
    async with street(preset, tmp_path) as made:
        under_way, *plain = NUMBERS
        trades = {under_way: await made.buy(under_way, "CARD-0")}
        async with made.site.gate("callback:read"):
            callback = asyncio.create_task(made.site.callback(under_way, trade=trades[under_way].transaction_id))
            await made.site.waits_at_a_gate()
            daemon = await made.shop.start(made.config)
            await made.site.waits_for_a_row()
            assert await made.site.mails(under_way) == [], "our message waits for the row, and so for the callback"
        await callback
        racing = set(plain[::2])
        callbacks: list[asyncio.Task[object]] = []

        def race(number: str) -> None:
            # Not while the other channel is asked: the row could be paid before this one is, and there were no race.
            if number in racing and number in trades and made.shop.book.asked_at is trades[number].gateway:
                racing.discard(number)
                transaction = trades[number].transaction_id
                callbacks.append(asyncio.create_task(made.site.callback(number, trade=transaction)))

        made.shop.book.on_ask = race
        for each, number in enumerate(plain):
            trades[number] = await made.buy(number, f"CARD-{each + 1}")
        await until(
            lambda: {line["order_no"] for line in daemon.lines if is_an_end(line)} == set(NUMBERS),
            told=lambda: "".join(daemon.raw[-20:]),
        )
        assert not racing
        await asyncio.gather(*callbacks)
        await made.is_delivered(*NUMBERS)
        assert await daemon.stop() == 0
        assert not daemon.events("case.opened")
        assert not daemon.events("turn.failed")
        before = await made.shop.snapshot()
        assert (await made.shop.once(made.config))[0] == 0
        assert before.changed(await made.shop.snapshot()) == set()


@BOTH
@pytest.mark.parametrize("gate", ["moved", "answer"])
async def test_a_daemon_that_is_killed_after_its_message_has_delivered_once(
    preset: str, gate: str, tmp_path: Path
) -> None:
    """Killed before the shop's code commits, the message is repeated; killed before it answers, the row tells."""
    async with street(preset, tmp_path) as made:
        (number, *_) = NUMBERS
        await made.buy(number, "CARD-1")
        if (preset, gate) == ("dujiaoka", "moved"):
            # expired meanwhile, as it is after five minutes there
            await made.site.tables.execute("UPDATE orders SET status = -1")
        await made.site.order("NOBODYS", "CARD-2")
        async with made.site.gate(f"{made.site.path.rpartition('/')[2]}:{gate}"):
            daemon = await made.shop.start(made.config)
            await made.site.waits_at_a_gate()
            daemon.process.kill()
            await daemon.ends()
            daemon = await made.shop.start(made.config)
            if gate == "moved":
                await made.site.waits_for_a_row()
            else:
                await until(lambda: any(is_an_end(line) for line in daemon.lines))
        if gate == "moved":
            await daemon.until("order.settled")
        await made.is_delivered(number)
        assert len(await made.site.stored()) == 1
        assert await daemon.stop() == 0
        assert not daemon.events("case.opened")
        said = made.site.said()
        assert said.count("Accepted") - said.count("without sending") == (2 if gate == "moved" else 1), said
        assert (await made.shop.json(made.config, "status"))["open_intentions"] == 0


@BOTH
async def test_another_secret_is_a_case_with_the_shops_words_and_approved_once_it_is_right(
    preset: str, tmp_path: Path
) -> None:
    another = "whsec_" + base64.b64encode(bytes(32)).decode()
    async with street(preset, tmp_path, another) as made:
        (number, *_) = NUMBERS
        await made.buy(number, "CARD-1")
        daemon = await made.shop.start(made.config)
        (line,) = await daemon.until("case.opened")
        assert (line["kind"], line["order_no"]) == ("settle_refused", number)
        assert "answers 401: webhook-signature is not of this body with this secret" in line["why"]
        assert SECRET.decode() not in "".join(daemon.raw)
        await made.is_delivered()

        made.site.kill()
        made.site.secret = SECRET.decode()
        await made.site.start()
        code, told = await made.shop.command(made.config, "cases", "approve", str(line["case_id"]))
        assert code == 0, told
        await made.is_delivered(number)
        assert await daemon.stop() == 0
