"""The operator's door to a running leader: the control socket, and what may be asked through it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from reconciler.control_cases import handle_case
from reconciler.events.trouble import ControlUnavailable
from reconciler.flow.inquiry import Finding
from reconciler.flow.switch import Switched
from reconciler.ops.control import CommandRefused, ControlServer, Handler
from reconciler.ports import Clock, Events, PortError
from reconciler.settings.model import Settings
from reconciler.wiring import Assembly

Turn = Callable[..., Awaitable[Sequence[Switched]]]
"""`Switch.pause` or `Switch.resume`."""
LEAD_LOOK_S = 0.2
RETRY_S = 10.0
RUNTIME = Path("/run/reconciler")


def socket_path(settings: Settings) -> Path:
    """Say where daemon and commands meet: `control.socket`, the unit's runtime directory, or a place of this user's.

    Outside systemd the name is derived from the ledger, so that two shops on one machine do not meet.
    """
    if settings.control.socket is not None:
        return Path(settings.control.socket)
    if directory := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(directory.split(":")[0]) / "control.sock"
    if RUNTIME.is_dir():
        return RUNTIME / "control.sock"
    own = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"reconciler-{os.getuid()}"
    return own / f"control-{sha256(_ledger(settings).encode()).hexdigest()[:12]}.sock"


def _ledger(settings: Settings) -> str:
    url = settings.ledger.url
    return f"sqlite:///{Path(url.removeprefix('sqlite:///')).resolve()}" if url.startswith("sqlite:///") else url


class ControlKeeper:
    """Keeps the socket open while this daemon leads, or would but for shop or ledger: a standby does not answer."""

    def __init__(self, assembly: Assembly, events: Events, clock: Clock) -> None:
        self._assembly = assembly
        self._events = events
        self._clock = clock
        self._said = False

    async def keep(self) -> None:
        """Open and close the socket with the lead, until cancelled."""
        path, rounds = socket_path(self._assembly.settings), self._assembly.rounds
        while True:
            await self._until(lambda: rounds.leading)
            server = ControlServer(path, self._handlers())
            try:
                await server.start()
                await self._until(lambda: not (rounds.leading or rounds.troubles()))
            except OSError as error:
                if not self._said:
                    self._said = True
                    self._events.emit(ControlUnavailable(path=str(path), why=str(error)))
                await self._clock.sleep(RETRY_S)
            finally:
                await server.stop()

    def _handlers(self) -> dict[str, Handler]:
        return {
            "ask": self._ask,
            "cases": self._cases,
            "status": self._status,
            "pause": self._pause,
            "resume": self._resume,
        }

    async def _until(self, true: Callable[[], object]) -> None:
        while not true():
            await self._clock.sleep(LEAD_LOOK_S)

    async def _ask(self, arguments: dict[str, object]) -> dict[str, object]:
        number, act = arguments.get("number"), arguments.get("settle") is True
        if not isinstance(number, str):
            raise CommandRefused("ask needs a number: an order_no or an out_trade_no")
        if not self._assembly.rounds.leading:
            raise CommandRefused("; ".join(self._assembly.rounds.troubles()) or "this daemon does not lead")
        try:
            findings = await self._assembly.inquiry.ask(number, act=act)
        except PortError as away:
            raise CommandRefused(str(away)) from away
        return {"mode": self._assembly.settings.mode, "findings": as_json(findings)}

    async def _cases(self, arguments: dict[str, object]) -> dict[str, object]:
        if not self._assembly.rounds.leading:
            raise CommandRefused("; ".join(self._assembly.rounds.troubles()) or "this daemon does not lead")
        try:
            return await handle_case(self._assembly, arguments)
        except PortError as away:
            raise CommandRefused(str(away)) from away

    async def _pause(self, arguments: dict[str, object]) -> dict[str, object]:
        return await self._switch(self._assembly.switch.pause, arguments)

    async def _resume(self, arguments: dict[str, object]) -> dict[str, object]:
        return await self._switch(self._assembly.switch.resume, arguments)

    async def _switch(self, turn: Turn, arguments: dict[str, object]) -> dict[str, object]:
        channels = arguments.get("channels")
        if not isinstance(channels, list):
            raise CommandRefused("pause and resume need channels: a list of names, perhaps empty")
        if unknown := [str(name) for name in channels if name not in self._assembly.settings.channels]:
            raise CommandRefused(f"the running daemon has no channel {', '.join(unknown)}")
        if not self._assembly.rounds.leading:
            raise CommandRefused("; ".join(self._assembly.rounds.troubles()) or "this daemon does not lead")
        settling = arguments.get("settling") is True
        try:
            switched = await turn(str(arguments["by"]), settling=settling, channels=channels)
        except PortError as away:
            raise CommandRefused(str(away)) from away
        return {"switched": [asdict(each) for each in switched]}

    async def _status(self, _arguments: dict[str, object]) -> dict[str, object]:
        rounds = self._assembly.rounds
        return {
            "who": rounds.who,
            "mode": self._assembly.settings.mode,
            "leading": rounds.leading,
            "found_at": rounds.found_at.isoformat() if rounds.found_at else None,
            "asked_at": rounds.asked_at.isoformat() if rounds.asked_at else None,
            "troubles": list(rounds.troubles()),
        }


def as_json(findings: Sequence[Finding]) -> list[dict[str, object]]:
    """Give findings as `ask --json` documents them."""
    return [asdict(finding) for finding in findings]
