"""A shop with gateways in the machine: `reconciler sandbox`, run by a user of the shop's own."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from tests.system.installation import CREDENTIALS
from tests.system.machine import Machine

PYTHON = "/opt/reconciler/bin/python"
_PLACE = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from reconciler.sandbox.shop import Shop
Shop(Path(sys.argv[1])).order(sys.argv[2], 9900, "alipay", datetime.now(UTC))
"""
_STATUS = """
import sqlite3, sys
row = sqlite3.connect(sys.argv[1]).execute("SELECT status FROM orders WHERE order_no = ?", sys.argv[2:]).fetchone()
print(row[0])
"""
PENDING, PAID = 0, 1


@dataclass(frozen=True)
class Shop:
    """A shop on SQLite in `directory`, which its group may write, and gateways on a port of the machine's loopback."""

    machine: Machine
    directory: str
    port: int
    unit: str

    @property
    def gateways(self) -> str:
        return f"http://127.0.0.1:{self.port}/sandbox"

    def open(self) -> None:
        """Make user, group and directory as the page wants them, and start the sandbox as that user."""
        since = self.machine.now()
        self.machine.run(
            "getent group shop >/dev/null || groupadd --system shop;"
            " id shop >/dev/null 2>&1 || useradd --system --gid shop --home-dir / shop;"
            f" install -d -m 2770 -o shop -g shop {self.directory};"
            f" systemd-run --quiet --unit={self.unit} --uid=shop --gid=shop --property=UMask=0007"
            f" {PYTHON} -m reconciler sandbox --directory {self.directory} --port {self.port} --orders 0"
        )
        # What it prints comes last: then everything is there.
        self.machine.until(f"-u {self.unit}", "--grep='Ctrl-C ends it'", since=since)
        self.machine.run(f"chmod 0660 {self.directory}/shop.db")

    def configuration(self, mode: str, credentials: str = "", more: str = "") -> str:
        """Give what the sandbox has written, for Alipay alone, as an installation has it: credentials, own ledger."""
        text = self.machine.run(f"cat {self.directory}/reconciler.toml")
        text, secrets = re.subn(
            rf'^(\w+) = "file:{self.directory}/keys/([\w-]+)\.pem"',
            rf'\1 = "credential:{credentials}\2"',
            text,
            flags=re.MULTILINE,
        )
        text, channels = re.subn(r"^\[channels\.wechat-main\]\n.*?^(?=\[)", "", text, flags=re.MULTILINE | re.DOTALL)
        text, tables = re.subn(
            r"^\[(ledger|http|log|control)\]\n.*?(?=^\[|\Z)", "", text, flags=re.MULTILINE | re.DOTALL
        )
        assert (secrets, channels, tables) == (4, 1, 4), text
        return f'mode = "{mode}"\n\n{text}\n{more}'

    def secrets(self) -> dict[str, str]:
        """Give the keys that somebody would copy from Alipay's platform."""
        names = ("alipay-app-key", "alipay-public-key")
        return {name: self.machine.run(f"cat {self.directory}/keys/{name}.pem") for name in names}

    def restore_secrets(self, credentials: str = "") -> None:
        for name, text in self.secrets().items():
            self.machine.write(f"{CREDENTIALS}/{credentials}{name}", text, mode=0o600)

    def trade(self, number: str, **more: object) -> None:
        """Have Alipay know a trade; without more, one that was paid just now."""
        self._post("trades", {"gateway": "alipay", "out_trade_no": number, "amount": "99.00", **more})

    def gateway(self, condition: str) -> None:
        """Put Alipay into a condition."""
        self._post("gateways", {"gateway": "alipay", "condition": condition})

    def order(self, number: str) -> None:
        """Take an order of 99 yuan that waits for its payment."""
        self.machine.run(f"runuser -u shop -- {PYTHON} -c '{_PLACE}' {self.directory}/shop.db {number}")

    def paid_order(self, number: str) -> None:
        """Take an order that is paid at Alipay while its callback is lost."""
        self.trade(number)
        self.order(number)

    def status(self, number: str) -> int:
        """Read an order's status."""
        return int(self.machine.run(f"{PYTHON} -c '{_STATUS}' {self.directory}/shop.db {number}"))

    def _post(self, what: str, body: dict[str, object]) -> None:
        curl = "curl --silent --show-error --fail-with-body -H 'Content-Type: application/json' --data @-"
        self.machine.run(f"{curl} {self.gateways}/{what}", stdin=json.dumps(body))
