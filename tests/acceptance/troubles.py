"""Each trouble that somebody is told of, brought about beside a real daemon by what brings it about in a shop."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from reconciler.sandbox.condition import Condition, Trait
from reconciler.sandbox.trade import GatewayKind
from tests.acceptance.scene import Scene
from tests.acceptance.shop_code import shop_code
from tests.acceptance.world import PAID, SHANGHAI, Process, until
from tests.integration.prometheus.server import free_port

FAULTS = Path(__file__).parent / "planted" / "crashes"
AT_ONCE = '[settle]\ngrace = "0s"\n'
HOUR = timedelta(hours=1)
FLOOD = 201
"""More orders over their limit than become cases one by one."""
UNKNOWN = 50
"""Numbers in a row that a gateway does not know, before it is in doubt."""


Trouble = Callable[[Scene], Awaitable[Process]]
TROUBLES: dict[str, Trouble] = {}
"""By event: brings it about, and gives the daemon that says so."""


def brings_about(event: str) -> Callable[[Trouble], Trouble]:
    """Put a trouble into the table."""

    def register(trouble: Trouble) -> Trouble:
        TROUBLES[event] = trouble
        return trouble

    return register


# ------------------------------------------------------------------------------------------------------- the gateways


@brings_about("channel.clock_off")
async def a_clock_is_a_minute_and_a_half_off(scene: Scene) -> Process:
    scene.configure()
    scene.world.serving.conditions.put(GatewayKind.ALIPAY, Condition(Trait.WRONG_CLOCK, timedelta(seconds=90)))
    for number in range(3):
        scene.world.order(f"A{number}")
    return await scene.lead()


@brings_about("channel.in_doubt")
async def a_gateway_knows_none_of_our_numbers(scene: Scene) -> Process:
    scene.configure()
    for number in range(UNKNOWN):
        scene.world.order(f"A{number:02d}")
    daemon = await scene.lead()
    await until(lambda: scene.mark("channel.all_not_created.alipay-main"))
    scene.clock.let_pass(HOUR.total_seconds())
    scene.world.order("LATER")
    return daemon


@brings_about("channel.paused")
async def a_key_is_not_the_merchants(scene: Scene) -> Process:
    scene.configure()
    wrong = scene.world.directory / "wrong-key.pem"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    wrong.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    wrong.chmod(0o600)
    scene.change(str(scene.world.directory / "keys" / "alipay-app-key.pem"), str(wrong))
    scene.buy("A1", "A2")
    return await scene.lead()


@brings_about("channel.paused_by_hand")
async def a_person_switches_a_channel_off(scene: Scene) -> Process:
    scene.configure()
    daemon = await scene.lead()
    await scene.command("pause", "--channel", "alipay-main")
    return daemon


@brings_about("channel.unavailable")
async def a_gateway_drops_every_connection(scene: Scene) -> Process:
    scene.configure()
    scene.world.serving.conditions.put(GatewayKind.ALIPAY, Condition(Trait.DOWN))
    scene.buy("A1", "A2", "A3")
    return await scene.lead()


@brings_about("channel.unconfigured")
async def orders_come_by_a_channel_that_nobody_named(scene: Scene) -> Process:
    scene.configure()
    for number in range(2):
        scene.world.order(f"A{number}", channel="huabei")
    return await scene.lead()


@brings_about("channel.unusual")
async def callbacks_are_lost_that_used_to_come(scene: Scene) -> Process:
    scene.configure()
    scene.buy(*[f"A{number}" for number in range(25)])
    return await scene.lead_after_two_weeks()


# ----------------------------------------------------------------------------------------------------------- the shop


@brings_about("lead.lost")
@brings_about("shop.unavailable")
async def the_shops_database_goes_away(scene: Scene) -> Process:
    scene.configure()
    daemon = await scene.lead()
    scene.world.shop.rename(scene.world.shop.with_suffix(".away"))
    return daemon


@brings_about("replica.unavailable")
async def the_replica_goes_away(scene: Scene) -> Process:
    scene.configure()
    replica = scene.world.directory / "replica.db"
    replica.write_bytes(scene.world.shop.read_bytes())
    scene.change("[shop.orders]", f'read_url = "sqlite:///{replica}"\n[shop.orders]')
    daemon = await scene.lead()
    replica.unlink()
    return daemon


@brings_about("webhook.unavailable")
async def the_shops_own_code_does_not_listen(scene: Scene) -> Process:
    secret = scene.world.directory / "webhook-secret"
    code = await scene.until_the_end.enter_async_context(shop_code(scene.world.hand, secret))
    scene.configure(code.configuration(secret))
    await code.close()
    scene.buy("A1", "A2", "A3", "A4", "A5")
    return await scene.lead()


@brings_about("settle.blocked")
async def somebody_keeps_the_table_locked(scene: Scene) -> Process:
    scene.configure(AT_ONCE)
    daemon = await scene.lead()
    scene.buy("A1", "A2", "A3", "A4")
    holder = sqlite3.connect(scene.world.shop, isolation_level=None)
    scene.until_the_end.callback(holder.close)
    holder.execute("BEGIN IMMEDIATE")
    return daemon


@brings_about("settle.braked")
async def more_is_to_be_settled_than_the_brake_allows(scene: Scene) -> Process:
    scene.configure(f"{AT_ONCE}brake_per_hour = 3\n")
    scene.buy(*[f"A{number}" for number in range(6)])
    return await scene.lead()


@brings_about("settle.paused")
async def a_person_stops_settling(scene: Scene) -> Process:
    scene.configure()
    daemon = await scene.lead()
    await scene.command("pause", "--settling")
    return daemon


@brings_about("orders.unusual")
async def orders_are_stuck_that_never_were(scene: Scene) -> Process:
    scene.configure()
    scene.buy(*[f"A{number}" for number in range(30)], paid_fen=1)
    return await scene.lead_after_two_weeks()


@brings_about("status.stalled")
async def nobody_delivers_any_more(scene: Scene) -> Process:
    scene.configure(f'[processing_limits]\n"{PAID}" = "10m"\n[audit]\nrate = 0\n')
    paid_at = (datetime.now(UTC) - HOUR).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
    scene.world.hand.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :flood)"
        " INSERT INTO orders (order_no, amount, status, pay_channel, created_at, paid_at)"
        " SELECT 'A' || i, '99.00', :paid, 'alipay', :at, :at FROM n",
        flood=FLOOD, paid=PAID, at=paid_at,
    )  # fmt: skip
    return await scene.lead()


# ------------------------------------------------------------------------------------------------ the daemon's machine


@brings_about("alerts.undelivered")
async def a_target_does_not_listen(scene: Scene) -> Process:
    scene.configure(port=free_port())
    scene.buy("A1", paid_fen=1)
    return await scene.lead()


@brings_about("clock.set_back")
async def the_clock_was_ahead_and_is_put_right(scene: Scene) -> Process:
    scene.configure()
    scene.clock.set_wrong(HOUR.total_seconds())
    scene.buy("A1")
    daemon = await scene.lead()
    await daemon.until("channel.clock_off")
    scene.clock.set_wrong(0)
    return daemon


@brings_about("config.refused")
async def a_changed_configuration_has_a_fault(scene: Scene) -> Process:
    scene.configure()
    daemon = await scene.lead()
    scene.change("[find]", "[ask]\ntimeuot = 3\n[find]")
    daemon.process.send_signal(signal.SIGHUP)
    return daemon


@brings_about("control.unavailable")
async def something_else_lies_where_the_control_socket_is_to_be(scene: Scene) -> Process:
    scene.configure()
    (scene.world.directory / "a.sock").write_text("not a socket, and so nobody removes it")
    return await scene.lead()


@brings_about("http.unavailable")
async def somebody_else_listens_on_the_port(scene: Scene) -> Process:
    scene.configure()
    other = scene.until_the_end.enter_context(socket.create_server(("127.0.0.1", 0)))
    scene.change('listen = "off"', f'listen = "127.0.0.1:{other.getsockname()[1]}"')
    return await scene.lead()


@brings_about("lead.overtaken")
async def another_daemon_writes_the_ledger(scene: Scene) -> Process:
    scene.configure()
    daemon = await scene.lead()
    with contextlib.closing(sqlite3.connect(scene.ledger, timeout=30)) as ledger, ledger:
        ledger.execute("UPDATE marks SET value = value + 1 WHERE name = 'epoch'")
    scene.buy("A1")
    return daemon


@brings_about("ledger.unavailable")
async def the_ledgers_disk_is_full(scene: Scene) -> Process:
    scene.configure()
    daemon = await scene.lead()
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    scene.buy("A1")
    return daemon


@brings_about("daemon.failed")
async def the_program_has_a_planted_fault(scene: Scene) -> Process:
    daemon = await with_faults(scene)
    await daemon.until("lead.taken")
    (scene.world.directory / "end").touch()
    return daemon


@brings_about("turn.failed")
async def the_program_has_a_planted_fault_with_one_order(scene: Scene) -> Process:
    scene.buy("CRASH")
    return await with_faults(scene)


async def with_faults(scene: Scene) -> Process:
    """Start a process with planted faults: in an interpreter of its own, which finds them at its start."""
    scene.configure()
    (scene.world.directory / "secrets").write_text("")
    path = f"{FAULTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return await scene.world.start_anew(scene.config, PYTHONPATH=path, RECONCILER_PLANTED=str(scene.world.directory))
