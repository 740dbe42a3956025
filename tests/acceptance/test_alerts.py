"""Alerts of the real daemon, by Apprise to a local receiver, and its heartbeat."""

from __future__ import annotations

import json
import signal

import pytest

from tests.acceptance.receiver import Receiver
from tests.acceptance.world import World, until

pytestmark = pytest.mark.acceptance

FAST = '[find]\nevery = "100ms"\n[settle]\ngrace = "0s"\n'
TOKEN = "s3cr3tt0kenswordfish"


def alerts(world: World, receiver: Receiver) -> str:
    """Write the credentials; give the part of the configuration."""
    (world.directory / "robot").write_text(f"json://user:{TOKEN}@127.0.0.1:{receiver.port}/{TOKEN}/")
    (world.directory / "beat").write_text(f"http://127.0.0.1:{receiver.port}/ping/{TOKEN}")
    return (
        f'{FAST}[alerts]\ntargets = ["file:{world.directory}/robot"]\nheartbeat_url = "file:{world.directory}/beat"\n'
    )


def mismatch(world: World, number: str) -> None:
    world.order(number)
    world.pay(number, fen=1)


async def test_a_case_is_told_of_with_what_to_type_and_the_heartbeat_beats(world: World, receiver: Receiver) -> None:
    config = world.configuration(extra=alerts(world, receiver))
    mismatch(world, "A1")
    daemon = await world.start(config)
    await daemon.until("case.opened")
    await until(lambda: receiver.posts and receiver.beats)
    (post,) = receiver.posts
    assert post["title"].startswith("case 1: amount_mismatch, order A1, CNY 99.00 [")
    assert post["type"] == "warning"
    assert "Look: reconciler cases show 1" in post["message"]
    assert "What to do: docs/how-to/handle-a-case.md#amount_mismatch" in post["message"]
    assert receiver.beats == [f"/ping/{TOKEN}"]
    assert (await world.json(config, "status"))["untold_cases"] == 0
    assert await daemon.stop() == 0
    assert TOKEN not in "".join(daemon.raw)
    assert TOKEN not in (await world.command(config, "config", "show"))[1]


async def test_what_no_target_took_survives_a_kill_and_is_told_of_by_the_next_process(
    world: World, receiver: Receiver
) -> None:
    receiver.status = 500
    config = world.configuration(extra=alerts(world, receiver))
    mismatch(world, "A1")
    daemon = await world.start(config)
    (line,) = await daemon.until("alerts.undelivered")
    assert line["target"] == "alerts.targets[0] json://…"
    assert "500" in line["why"]
    assert TOKEN not in "".join(daemon.raw)
    daemon.process.kill()
    await daemon.ends()
    assert (await world.json(config, "status"))["untold_cases"] == 1
    assert "1 of them UNTOLD" in (await world.command(config, "status"))[1]
    receiver.status = 200
    daemon = await world.start(config)
    await until(lambda: receiver.posts)
    assert receiver.posts[0]["title"].startswith("case 1: amount_mismatch")
    assert await daemon.stop() == 0


async def test_one_pass_tells_before_it_ends(world: World, receiver: Receiver) -> None:
    config = world.configuration(extra=alerts(world, receiver), mode="observe")
    for number in range(30):
        mismatch(world, f"A{number}")
    code, output, log = await world.once(config)
    assert len(receiver.posts) == 1, "".join([output, *log.raw])
    assert "30 new cases: 30 amount_mismatch" in receiver.posts[0]["message"]
    assert (await world.json(config, "status"))["untold_cases"] == 0
    await world.once(config)
    assert len(receiver.posts) == 1, "announced once"
    assert code == 0


async def test_a_reload_takes_the_new_targets_and_refuses_such_as_cannot_be_opened(
    world: World, receiver: Receiver
) -> None:
    config = world.configuration(extra=FAST)
    mismatch(world, "A1")
    daemon = await world.start(config)
    await daemon.until("case.opened")
    world.configuration(extra=alerts(world, receiver))
    (world.directory / "robot").write_text(f"nosuch://{TOKEN}")
    daemon.process.send_signal(signal.SIGHUP)
    (refused,) = await daemon.until("config.refused")
    assert refused["problem"].startswith("At alerts.targets[0]: ")
    alerts(world, receiver)
    daemon.process.send_signal(signal.SIGHUP)
    await daemon.until("config.reloaded")
    await until(lambda: receiver.posts and receiver.beats)
    assert receiver.posts[0]["title"].startswith("case 1: amount_mismatch")
    assert await daemon.stop() == 0
    assert TOKEN not in "".join(daemon.raw)


async def test_alerts_test_says_of_each_target_whether_it_took_it(world: World, receiver: Receiver) -> None:
    config = world.configuration(extra=alerts(world, receiver))
    code, output = await world.command(config, "alerts", "test")
    assert (code, output) == (0, "✓ alerts.targets[0] json://…\n")
    assert "This is a test" in receiver.posts[0]["message"]
    receiver.status = 403
    code, output = await world.command(config, "alerts", "test")
    assert code == 1
    assert output.startswith("✗ alerts.targets[0] json://…: ")
    assert "  → compare its URL" in output
    assert TOKEN not in output
    code, output = await world.command(config, "alerts", "test", "--json")
    (tried,) = json.loads(output)
    assert (code, tried["target"], tried["taken"]) == (1, "alerts.targets[0] json://…", False)
    code, output = await world.command(world.configuration("b"), "alerts", "test")
    assert (code, "alerts.targets is empty" in output) == (2, True)


async def test_a_target_that_cannot_be_opened_refuses_the_start_and_a_reload(world: World, receiver: Receiver) -> None:
    config = world.configuration(extra=alerts(world, receiver))
    (world.directory / "robot").write_text(f"nosuch://{TOKEN}")
    daemon = await world.start(config)
    assert await daemon.ends() == 2
    assert "At alerts.targets[0]: " in "".join(daemon.raw)
    code, output = await world.command(config, "config", "check")
    assert (code, TOKEN in output) == (2, False)
    assert "is no URL of nosuch:// that Apprise knows" in output
