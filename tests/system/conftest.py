"""One machine for all of the tests here, installed once by the documented steps."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.system.installation import REQUIREMENTS, Installation
from tests.system.machine import Machine, fetch_wheels, make_tree, missing, remove_tree, unless_missing
from tests.system.service import Service
from tests.system.shop import Shop


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    unless_missing("; ".join(missing()))
    directory = Path(tempfile.mkdtemp(prefix="reconciler-system-"))
    try:
        with ThreadPoolExecutor() as pool:
            wheels = pool.submit(fetch_wheels, directory / "wheels", REQUIREMENTS)
            make_tree(directory / "machine")
            wheels.result()
        with Machine(directory / "machine").booted() as booted:
            yield booted
    finally:
        remove_tree(directory)


@pytest.fixture(scope="session")
def installation(machine: Machine) -> Installation:
    """Everything docs/how-to/install-as-a-service.md says, in its order."""
    done = Installation(machine)
    done.bring_the_project(machine.root.with_name("wheels"))
    done.install_the_program()
    shop = Shop(machine, "/srv/shop/data", 8101, "shop")
    shop.open()
    done.put_secrets(shop.secrets())
    done.write_configuration(shop.configuration("observe"))
    beginning = machine.now()
    done.start_the_unit()
    machine.until("-u reconciler", "EVENT=lead.taken", since=beginning)
    done.look_whether_it_is_well()
    return done


@pytest.fixture
def service(installation: Installation) -> Iterator[Service]:
    """Give the installed service in mode enforce, started afresh, without what another test has changed."""
    shop = Shop(installation.machine, "/srv/shop/data", 8101, "shop")
    service = Service(installation.machine, shop)
    service.begin_afresh()
    yield service
    shop.gateway("well")
