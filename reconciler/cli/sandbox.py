"""`reconciler sandbox`: gateways and a shop to develop against."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from reconciler.exit import Exit
from reconciler.ops.clock import SystemClock
from reconciler.sandbox.book import Book
from reconciler.sandbox.buyers import Buyers
from reconciler.sandbox.configuration import write_configuration
from reconciler.sandbox.directory import Place, fresh_place
from reconciler.sandbox.errors import SandboxError
from reconciler.sandbox.invocation import command, shown_path
from reconciler.sandbox.keys import keep_keys
from reconciler.sandbox.plan import NUMBERS_FROM, sandbox_plan
from reconciler.sandbox.server import HOST, Serving, serve
from reconciler.sandbox.shop import Shop
from reconciler.sandbox.visit import Visit

ORDER_EVERY_S = 2.0
ORDERS_MAX = 50_000


def sandbox(
    directory: Annotated[
        Path, typer.Option(help="Where its files go. Shop, ledger and configuration are made anew; keys are kept.")
    ] = Path("sandbox"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the gateways, on 127.0.0.1; 0 takes a free one.")] = 0,
    orders: Annotated[
        int, typer.Option(min=0, max=ORDERS_MAX, help="How many orders the buyers place, one every two seconds.")
    ] = 60,
) -> None:
    """Run gateways, and a shop with buyers, to develop against, until Ctrl-C."""
    with contextlib.suppress(KeyboardInterrupt, asyncio.CancelledError):
        try:
            asyncio.run(_run(directory, port, orders))
        except SandboxError as error:
            _refuse(str(error))
        except OSError as error:
            _refuse(f"{error.filename or f'{HOST}:{port}'}: {error.strerror or error}")
    print("The sandbox has stopped.")


async def _run(directory: Path, port: int, orders: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    clock, book = SystemClock(), Book()
    with fresh_place(directory) as place:
        shop = Shop(place.shop)
        await asyncio.to_thread(shop.open)
        keys = await asyncio.to_thread(keep_keys, place.keys)
        async with serve(keys, book, clock, port=port) as serving:
            configuration = write_configuration(place, serving)
            visits = sandbox_plan(orders, ORDER_EVERY_S)
            _introduce(place, serving, configuration, visits)
            buyers = Buyers(shop, book, clock)
            playing = asyncio.create_task(buyers.play(visits))
            stopping = asyncio.create_task(stop.wait())
            done, _ = await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if playing in done:
                playing.result()  # a fault of the play ends the sandbox, loudly
                print("The buyers have gone home; the gateways stay until Ctrl-C.", flush=True)
            await stop.wait()
            playing.cancel()


def _introduce(place: Place, serving: Serving, configuration: Path, visits: Sequence[Visit]) -> None:
    shown = shown_path(configuration)
    (first,) = sandbox_plan(1, ORDER_EVERY_S)
    print(f"Alipay         {serving.alipay_endpoint}")
    print(f"WeChat Pay     {serving.wechat_endpoint}")
    print(f"Trades         {serving.url}/sandbox/trades")
    print(f"Shop           {shown_path(place.shop)}   {len(visits)} orders to come, from A{NUMBERS_FROM} on")
    print(f"Configuration  {shown}")
    print()
    print("Next, in another terminal:")
    print(f"  {command('run', '--config', shown, '--mode', 'enforce')}")
    print("Change what a gateway says of an order:")
    example = {"gateway": first.pay_channel, "out_trade_no": first.order_no, "script": "refunded"}
    print(f"  curl -H 'Content-Type: application/json' -d '{json.dumps(example)}' {serving.url}/sandbox/trades")
    print("A shop of your own: docs/reference/commands.md, Your own shop against the sandbox")
    print()
    print("Ctrl-C ends it.", flush=True)


def _refuse(text: str) -> None:
    print(f"sandbox: {text}", file=sys.stderr)
    raise typer.Exit(Exit.CONFIGURATION)
