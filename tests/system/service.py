"""The installed service, as whoever looks after it sees it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.system.installation import CONFIGURATION
from tests.system.machine import SAID_WITHIN_S, Entry, Machine
from tests.system.shop import Shop

SOCKET = "/run/reconciler/control.sock"
TEST_DROP_IN = "/etc/systemd/system/reconciler.service.d/zz-test.conf"


@dataclass
class Service:
    """reconciler.service and its shop; `since` is when it was last started by the test."""

    machine: Machine
    shop: Shop
    since: str = ""

    def begin_afresh(self) -> None:
        """Undo what a test may have changed, with an empty ledger."""
        self.machine.run("systemctl stop reconciler")
        self.machine.run(f"rm -f {TEST_DROP_IN} /var/lib/reconciler/*; systemctl daemon-reload; systemctl reset-failed")
        self.shop.gateway("well")
        self.shop.restore_secrets()
        self.configure("enforce")
        self.restart()

    def configure(self, mode: str, more: str = "") -> None:
        """Write the configuration; whether the daemon takes it is another matter."""
        self.machine.write(CONFIGURATION, self.shop.configuration(mode, more=more))

    def drop_in(self, *lines: str) -> None:
        """Change the unit for one test, as `systemctl edit` would; a restart takes it."""
        self.machine.write(TEST_DROP_IN, "\n".join(["[Service]", *lines]) + "\n")
        self.machine.run("systemctl daemon-reload")

    def restart(self) -> None:
        """Restart, and wait until it leads."""
        self.since = self.machine.now()
        self.machine.run("systemctl restart reconciler")
        self.until("lead.taken")
        # It opens the socket a moment later, and has no line for that.
        self.machine.run(f"timeout {SAID_WITHIN_S} sh -c 'until test -S {SOCKET}; do sleep 0.1; done'")

    def until(self, event: str, *matches: str, within_s: float = SAID_WITHIN_S) -> Entry:
        """Wait for an event of the log since then, and give the line."""
        return self.machine.until("-u reconciler", f"EVENT={event}", *matches, since=self.since, within_s=within_s)

    def entries(self, *matches: str) -> list[Entry]:
        """Give the unit's lines since then."""
        return list(self.machine.journal("-u reconciler", *matches, since=self.since))

    def shows(self, name: str) -> str:
        """Read a property of the unit."""
        return self.machine.run(f"systemctl show reconciler --property={name} --value").strip()

    @property
    def pid(self) -> int:
        return int(self.shows("MainPID"))

    def command(self, line: str) -> Any:  # noqa: ANN401 # JSON, as each command documents it
        """Give a command as root; the answer is JSON."""
        return json.loads(self.machine.run(f"reconciler {line} --json"))
