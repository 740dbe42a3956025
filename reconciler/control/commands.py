"""What may be asked of whoever leads: of the daemon through its socket, or of a command that leads by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial

from reconciler.control.cases import handle_case
from reconciler.flow.switch import Switched
from reconciler.ops.control import CommandRefused, Handler
from reconciler.ports import PortError
from reconciler.readiness import matters_with, unready
from reconciler.wiring import Assembly

Turn = Callable[..., Awaitable[Sequence[Switched]]]
"""`Switch.pause` or `Switch.resume`."""


class Commands:
    """The commands, on what was put together for this shop. Each raises CommandRefused, which says why and what to do.

    Arguments are plain JSON values, and so is what comes back, as the commands' `--json` documents it; `by` says who
    asks.
    """

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly

    def by_name(self) -> Mapping[str, Handler]:
        """Give each by the name that it is asked for by."""
        switch = self._assembly.switch
        led: dict[str, Handler] = {
            "ask": self._ask,
            "cases": partial(handle_case, self._assembly),
            "pause": partial(self._switch, switch.pause),
            "resume": partial(self._switch, switch.resume),
        }
        return {"status": self._status, **{name: self._led(handler) for name, handler in led.items()}}

    def _led(self, handler: Handler) -> Handler:
        """Have only a leader do it; where shop or ledger fail meanwhile, that is why it is not done."""
        rounds = self._assembly.rounds

        async def handle(arguments: dict[str, object]) -> dict[str, object]:
            if not rounds.leading:
                raise CommandRefused("; ".join(rounds.troubles()) or "this daemon does not lead")
            try:
                return await handler(arguments)
            except PortError as away:
                raise CommandRefused(str(away)) from away

        return handle

    async def _ask(self, arguments: dict[str, object]) -> dict[str, object]:
        number, act = arguments.get("number"), arguments.get("settle") is True
        if not isinstance(number, str):
            raise CommandRefused("ask needs a number: an order_no or an out_trade_no")
        findings = await self._assembly.inquiry.ask(number, act=act)
        return {"mode": self._assembly.settings.mode, "findings": [asdict(finding) for finding in findings]}

    async def _switch(self, turn: Turn, arguments: dict[str, object]) -> dict[str, object]:
        channels = arguments.get("channels")
        if not isinstance(channels, list):
            raise CommandRefused("pause and resume need channels: a list of names, perhaps empty")
        if unknown := [str(name) for name in channels if name not in self._assembly.settings.channels]:
            raise CommandRefused(f"the running daemon has no channel {', '.join(unknown)}")
        settling = arguments.get("settling") is True
        switched = await turn(str(arguments["by"]), settling=settling, channels=channels)
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
            "unready": list(unready(rounds)),
            "channels": {channel.name: list(matters_with(channel)) for channel in rounds.channels},
        }
