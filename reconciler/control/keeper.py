"""The leader's side of the door: it keeps the socket open, and carries out what is asked through it."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.control.commands import Commands
from reconciler.control.place import identity_of, socket_path
from reconciler.events.trouble import ControlUnavailable
from reconciler.ops.control import CommandRefused, ControlServer, Handler
from reconciler.ports import Clock, Events
from reconciler.settings.show import masked
from reconciler.wiring import Assembly

LEAD_LOOK_S = 0.2
RETRY_S = 10.0


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
        commands = Commands(self._assembly)
        return {name: self._for_this_shop(carry_out) for name, carry_out in commands.by_name().items()}

    def _for_this_shop(self, handler: Handler) -> Handler:
        settings = self._assembly.settings

        async def handle(arguments: dict[str, object]) -> dict[str, object]:
            if arguments.get("ledger", identity_of(settings)) != identity_of(settings):
                raise CommandRefused(
                    f"the daemon on this socket looks after another shop (ledger {masked(settings.ledger.url)}); "
                    "give each shop's configuration a control.socket of its own"
                )
            return await handler(arguments)

        return handle

    async def _until(self, true: Callable[[], object]) -> None:
        while not true():
            await self._clock.sleep(LEAD_LOOK_S)
