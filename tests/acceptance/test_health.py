"""What a supervisor sees of the real daemon: /healthz, /readyz, and systemd's status line."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

import pytest

from reconciler.sandbox.condition import Condition, Trait
from reconciler.sandbox.trade import GatewayKind
from tests.acceptance.world import World, until
from tests.integration.prometheus.server import free_port

FAST = """
[find]
every = "1s"
[settle]
grace = "0s"
"""


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError as error:  # it does not listen yet
        return 0, str(error)
    finally:
        connection.close()


def listening(world: World, name: str, port: int) -> Path:
    config = world.configuration(name, extra=FAST)
    config.write_text(config.read_text().replace('listen = "off"', f'listen = "127.0.0.1:{port}"'))
    return config


async def test_a_leader_and_a_standby_are_ready_and_a_leader_without_a_channel_is_not(world: World) -> None:
    first, second = free_port(), free_port()
    config = listening(world, "a", first)
    leader = await world.start(config)
    await leader.until("lead.taken")
    await until(lambda: get(first, "/readyz") == (200, "ready: leading\n"))
    await world.start(listening(world, "b", second))
    await until(lambda: get(second, "/readyz") == (200, "ready: standby\n"))

    assert (await world.command(config, "pause", "--channel", "alipay-main"))[0] == 0
    assert get(first, "/readyz") == (200, "ready: leading\n"), "WeChat Pay can still be asked"
    world.serving.conditions.put(GatewayKind.WECHAT, Condition(Trait.DOWN))
    for number in range(3):
        world.order(f"W0000{number}", channel="wechat")
    await leader.until("channel.unavailable")

    status, text = get(first, "/readyz")
    assert (status, text.count("\n")) == (503, 1)
    reason = "no channel can be asked: alipay-main (paused_by_hand); wechat-main ("
    assert text.startswith(f"not ready: {reason}")
    assert get(first, "/healthz") == (200, "alive\n"), "nothing that a restart would mend"
    told = await world.json(config, "status")
    assert [text.startswith(reason) for text in told["daemon"]["unready"]] == [True]
    assert told["daemon"]["channels"]["alipay-main"] == ["paused_by_hand"]


async def test_systemds_line_tells_the_counts_and_names_no_order(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(0.01)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        world.order("A1")
        world.pay("A1")
        world.order("A2")
        world.pay("A2", fen=1)
        await world.start(world.configuration(extra=FAST))

        def has_told() -> bool:
            try:
                said.append(systemd.recv(1000).decode())
            except TimeoutError:
                return False
            return "1 settled in the last hour" in said[-1]

        await until(has_told, told=lambda: str(said))

    assert said[-1] == ("STATUS=mode enforce, leading; watching 1, 0 due; 1 cases open; 1 settled in the last hour")
    assert "READY=1" in said[0] or "EXTEND_TIMEOUT" in said[0]
    assert not any("A1" in line or "A2" in line for line in said)
