"""Secrets and persons are planted everywhere, every trouble is provoked, and all that comes out is searched for them.

`ledger export` is left out: to give evidence away is what it is for.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import os
import shlex
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp.test_utils import unused_port

from reconciler.sandbox.trade import GatewayKind, Trouble, Twist
from tests.acceptance.planted.front import Front, front
from tests.acceptance.planted.marks import LOGON_ID, OPENID, PERSONS, STARRED_LOGON_ID, TELEPHONE, USER_ID, Marks
from tests.acceptance.receiver import Receiver, receiving
from tests.acceptance.shop_code import SECRET, ShopCode, Way, shop_code
from tests.acceptance.world import CLOSED, Process, World, until

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

CRASHES = Path(__file__).parent / "crashes"
MANY = Path(__file__).parent / "many.py"
PASSWORD = "Planted/Pass word+77%"  # that is what is planted
TARGET = "json://planted-alert-key-4711:planted-alert-token-4712@127.0.0.1:{port}/"
HEARTBEAT = "http://127.0.0.1:{port}/ping/planted-heartbeat-4713"
LARGE_MAX = 1 << 20


@dataclass
class Journald:
    """A journald that keeps what it is sent, small or large."""

    path: Path
    _kept: list[bytes] = field(default_factory=list)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take entries until left."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(str(self.path))
            reader = threading.Thread(target=self._read, args=[listener], daemon=True)
            reader.start()
            try:
                yield
            finally:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
                    end.sendto(b"END", str(self.path))
                reader.join(10)

    def _read(self, listener: socket.socket) -> None:
        while True:
            data, ancillary, _flags, _address = listener.recvmsg(LARGE_MAX, socket.CMSG_SPACE(4))
            if data == b"END":
                return
            self._kept.append(data)
            for _level, _kind, rights in ancillary:
                with os.fdopen(array.array("i", rights)[0], "rb") as memory:
                    self._kept.append(memory.read())

    def text(self) -> str:
        """Give all of it."""
        return b"\n".join(self._kept).decode(errors="replace")


@dataclass
class Stage:
    """The world with its marks, and everything that the program said."""

    world: World
    marks: Marks
    front: Front
    code: ShopCode
    journald: Journald
    receiver: Receiver
    place: Path
    port: int = field(default_factory=unused_port)
    said: list[str] = field(default_factory=list)

    def configuration(self, log: str) -> Path:
        """Write the configuration whose every secret is a mark."""
        keys, secrets = self.world.directory / "keys", self.place
        path = self.world.configuration(
            extra=f'apiv3_key = "file:{keys}/wechat-apiv3-key"\n'
            f'[alerts]\ntargets = ["file:{secrets}/target"]\nheartbeat_url = "file:{secrets}/heartbeat"\n'
            f'[find]\nevery = "200ms"\n[ask]\nuntrusted_limit = 2\n'
            + self.code.configuration(secrets / "webhook", confirm_within="2s", more='review_over = "100.00"\n')
        )
        text = path.read_text().replace(self.world.serving.alipay_endpoint, f"{self.front.url}/gateway.do")
        text = text.replace(f'"{self.world.serving.wechat_endpoint}"', f'"{self.front.url}"')
        text = text.replace('format = "json"', f'format = "{log}"')
        text = text.replace('listen = "off"', f'listen = "127.0.0.1:{self.port}"')
        path.write_text(text)
        return path

    def orders(self) -> None:
        """Place orders that meet every trouble."""
        for channel in ("alipay", "wechat"):
            for part in ("PAID", "PAGE", "NOHTTP", "REFUSED", "FALSE", "STATE", "DEAR", "DECLINED"):
                self.world.order(f"{part}-{channel}", channel=channel, fen=20_000 if part == "DEAR" else 9900)
                self.world.pay(f"{part}-{channel}", channel=channel, fen=20_000 if part == "DEAR" else 9900)
            self._trouble(f"FALSE-{channel}", GatewayKind(channel), trouble=Trouble.BAD_SIGNATURE)
            self._trouble(f"STATE-{channel}", GatewayKind(channel), twist=Twist.UNKNOWN_STATE)
            self.code.ways[f"DECLINED-{channel}"] = Way(409, DECLINED, moves=False)
            self.world.order(f"LATE-{channel}", channel=channel, status=CLOSED)
            self.world.pay(f"LATE-{channel}", channel=channel)
        self.world.order("CRASH")
        self.world.pay("CRASH")
        self.world.order("CHEAP")
        self.world.pay("CHEAP", fen=1)

    def _trouble(self, number: str, gateway: GatewayKind, **what: object) -> None:
        trade = self.world.book.get(gateway, number)
        assert trade is not None
        self.world.book.put(replace(trade, **what))  # type: ignore[arg-type] # its own fields

    async def commands(self, config: Path, *lines: str) -> str:
        """Run commands, one after another, and keep what they said."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(MANY), str(config),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(120):
            told, _ = await process.communicate(json.dumps([shlex.split(line) for line in lines]).encode())
        self.said.append(told.decode())
        return self.said[-1]

    def everything(self, *daemons: Process) -> str:
        """Give all that came out."""
        told = json.dumps(self.receiver.posts, ensure_ascii=False)
        return "\n".join([*self.said, *("".join(daemon.raw) for daemon in daemons), self.journald.text(), told])


COMMANDS = (
    "status", "status --json", "config show", "config show --json", "config check", "doctor", "doctor --json",
    "cases list", "cases list --json --all", "ask REFUSED-alipay", "ask FALSE-alipay", "ask NOHTTP-alipay",
    "ask PAID-wechat --json", "ask CRASH", "explain CRASH", "pause", "resume --json", "ledger verify",
)  # fmt: skip
DECLINED = f'{{"error": "buyer {LOGON_ID}, tel. {TELEPHONE}, openid {OPENID}, {USER_ID}: no stock"}}'


@pytest.fixture(name="stage")
async def stage_fixture(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    place = world.directory / "planted"
    place.mkdir()
    marks = Marks.of(
        world.directory / "keys",
        webhook=SECRET.removeprefix("whsec_"),
        password=PASSWORD,
        target="planted-alert-key-4711",
        token="planted-alert-token-4712",
        heartbeat="planted-heartbeat-4713",
    )
    (place / "secrets").write_text("\n".join(text for name, text in marks.texts.items() if name not in PERSONS))
    monkeypatch.setenv("PYTHONPATH", f"{CRASHES}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    monkeypatch.setenv("HTTPX_LOG_LEVEL", "debug")
    monkeypatch.setenv("HTTPS_PROXY", f"http://somebody:{quote(PASSWORD, safe='')}@127.0.0.1:9")
    monkeypatch.setenv("RECONCILER_PLANTED", str(place))
    journald = Journald(place / "journal")
    async with (
        front(world.serving.url) as before,
        shop_code(world.hand, place / "webhook") as code,
        receiving() as receiver,
    ):
        for name, text in (("target", TARGET), ("heartbeat", HEARTBEAT), ("password", PASSWORD)):
            (place / name).write_text(text.replace("{port}", str(receiver.port)))
            (place / name).chmod(0o600)
        with journald.listening():
            yield Stage(world, marks, before, code, journald, receiver, place)


@pytest.mark.parametrize("log", ["json", "console", "journald"])
async def test_nothing_that_is_planted_comes_out(stage: Stage, log: str) -> None:
    config = stage.configuration(log)
    stage.orders()
    daemon = await stage.world.start_anew(config)  # its environment and its sitecustomize are of this very test

    await until(lambda: {"PAGE", "NOHTTP", "REFUSED"} <= stage.front.asked)
    wanted = ("order.settled", "turn.failed", "settle_refused", "needs_review", "late_payment", "unrecognised_state")
    await until(
        lambda: all(each in stage.everything(daemon) for each in (*wanted, "unaskable", "untrusted_answer")),
        told=lambda: stage.everything(daemon)[-5000:],
    )
    stage.front.refuses_wechat = True
    await until(lambda: "channel.paused" in stage.everything(daemon))
    await until(lambda: stage.receiver.posts)
    if log == "json":  # what commands say does not depend on the log
        await _commands(stage, config)
        await _figures(stage)
    (stage.place / "end").touch()
    assert await daemon.ends(within_s=120) == 70
    if log == "json":
        await _commands_without_a_daemon(stage, config)

    said = stage.everything(daemon)
    for event in (*wanted, "unaskable", "untrusted_answer", "channel.paused", "daemon.failed", "Planted"):
        assert event in said, event
    assert stage.marks.found_in(said) == []
    kept = (stage.world.directory / "a-ledger.db").read_bytes() + _log_of(stage.world.directory / "a-ledger.db")
    assert STARRED_LOGON_ID.encode() in kept, "it is in the evidence, where it belongs: it did pass through"
    assert b"sandboxbuyer" in kept


async def _figures(stage: Stage) -> None:
    async with aiohttp.ClientSession() as session:
        for page in ("metrics", "readyz", "healthz"):
            async with session.get(f"http://127.0.0.1:{stage.port}/{page}") as answer:
                stage.said.append(await answer.text())
    assert "reconciler_asks" in stage.said[-3]


async def _commands(stage: Stage, config: Path) -> None:
    told = await stage.commands(config, "cases list --json")
    listed, _ = json.JSONDecoder().raw_decode(told, told.index("\n[") + 1)
    cases = {case["kind"]: case for case in listed}
    told = await stage.commands(config, *COMMANDS, *(
        f"{command}{form}"
        for case in cases.values()
        for command in (f"cases show {case['id']}", f"explain {case['order_no']}")
        for form in ("", " --json")
    ))  # fmt: skip
    assert told.count("This is a fault of the program") == 1, told[-3000:]
    for part in ("what to do", "doctor", "secrets: readable", "case_opened", "file:"):
        assert part in told, part


async def _commands_without_a_daemon(stage: Stage, config: Path) -> None:
    told = await stage.commands(config, "ask REFUSED-wechat", "cases approve --kind needs_review --yes", "status")
    assert "order REFUSED-wechat" in told
    assert "needs_review" in told


def _log_of(path: Path) -> bytes:
    log = path.with_name(f"{path.name}-wal")
    return log.read_bytes() if log.exists() else b""
