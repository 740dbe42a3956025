"""Another version and back, and away with it: as the page says, and what becomes of the ledger."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from reconciler import __version__
from tests.system.installation import Installation
from tests.system.service import Service
from tests.system.shop import PAID

numbers = (f"V{number}" for number in itertools.count(1))

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

PROGRAM = "/opt/reconciler"
STATE = "/var/lib/private/reconciler"
NEW_VERSION = "99.0.0"
MIGRATE = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as ledger:
    ledger.execute("UPDATE alembic_version SET version_num = '9999'")
"""
"""As a version leaves the ledger behind whose schema is newer."""


@dataclass(frozen=True)
class Upgraded:
    """The service with another version installed over it."""

    service: Service
    before: str
    """An order that was settled before."""
    since: str
    """One that was settled since."""


@pytest.fixture
def upgraded(installation: Installation, service: Service) -> Iterator[Upgraded]:
    before = settle(service)
    new = installation.another_version(NEW_VERSION)
    new.put_aside()
    new.install_over_it()
    new.go_on()
    yield Upgraded(service, before, settle(service))
    service.machine.run(f"rm -rf {PROGRAM}.before {STATE}.before {STATE}.newer {new.project}")


def settle(service: Service) -> str:
    """Have an order settled; give its number."""
    number = next(numbers)
    service.shop.paid_order(number)
    service.until("order.settled", f"ORDER_NO={number}")
    return number


def settlements(service: Service) -> list[object]:
    """Give the order of each settlement that was logged in this test."""
    return [entry["ORDER_NO"] for entry in service.entries("EVENT=order.settled")]


def version(service: Service) -> str:
    """Ask the program."""
    return service.machine.run("reconciler --version").strip()


def test_another_version_takes_over_what_is_there_and_so_does_the_one_before(
    upgraded: Upgraded, installation: Installation
) -> None:
    service = upgraded.service
    new = version(service)
    kept = service.machine.run(f"reconciler explain {upgraded.before}")

    installation.go_back()
    last = settle(service)

    assert (new, version(service)) == (f"reconciler {NEW_VERSION}", f"reconciler {__version__}")
    assert "settled" in kept
    assert "settled" in service.machine.run(f"reconciler explain {upgraded.since}")
    assert settlements(service) == [upgraded.before, upgraded.since, last]
    assert "sound" in service.machine.run("reconciler ledger verify")


def test_a_ledger_that_the_new_version_has_migrated_is_put_back_as_well_and_nothing_moves_twice(
    upgraded: Upgraded, installation: Installation
) -> None:
    service, machine = upgraded.service, upgraded.service.machine
    machine.run("systemctl stop reconciler")
    machine.run(f"{PROGRAM}/bin/python - {STATE}/ledger.db", stdin=MIGRATE)
    back = machine.now()
    installation.go_back(check=False)  # the start fails, and systemd tries on
    machine.until("-u reconciler", "--grep='its schema is 9999, written by a newer version'", since=back)

    installation.put_the_ledger_back()
    last = settle(service)

    assert service.shop.status(upgraded.since) == PAID
    assert settlements(service) == [upgraded.before, upgraded.since, last]
    assert "sound" in machine.run("reconciler ledger verify")
    machine.run(f"test -s {STATE}.newer/ledger.db")


def test_away_with_it_leaves_the_ledger_and_another_installation_goes_on_with_it(
    installation: Installation, service: Service
) -> None:
    machine = service.machine
    first = settle(service)
    machine.run(f"cp -a {PROGRAM} /root/program")

    installation.away_with_it()

    assert service.shows("LoadState") == "not-found"
    machine.run(f"test ! -e {PROGRAM}; test ! -e /run/reconciler")
    machine.run(f"test -s {STATE}/ledger.db; test -d /etc/reconciler/credentials")

    machine.run(f"mv /root/program {PROGRAM}")  # as step 1 leaves it, half a minute sooner
    installation.start_the_unit()
    last = settle(service)

    assert "settled" in machine.run(f"reconciler explain {first}")
    assert settlements(service) == [first, last]
    assert "sound" in machine.run("reconciler ledger verify")
