"""`reconciler config check`: what it says beyond the file's own faults."""

from __future__ import annotations

import tomllib
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import pytest

from reconciler.cli import config as command
from reconciler.cli import main
from reconciler.databases import SERVERS
from reconciler.sandbox.keys import keep_keys
from tests.small_configuration import small_configuration

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    keep_keys(directory)
    return directory


def configured(directory: Path, keys: Path, *, shop: str, ledger: str = "sqlite:///ledger.db") -> str:
    path = directory / "reconciler.toml"
    path.write_text(small_configuration(keys, shop=shop, ledger=ledger))
    return str(path)


def checked(path: str) -> int:
    try:
        main(["config", "check", "--config", path])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def without_drivers(monkeypatch: pytest.MonkeyPatch) -> None:
    drivers = {server.driver for server in SERVERS.values()}

    def found(name: str) -> ModuleSpec | None:
        return None if name in drivers else find_spec(name)

    monkeypatch.setattr(command, "find_spec", found)


def test_a_driver_that_is_not_installed_is_named_with_the_file_that_brings_it(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_drivers(monkeypatch)
    url = "mysql://reconciler@127.0.0.1/shop"
    assert checked(configured(tmp_path, keys, shop=url, ledger="postgresql://reconciler@127.0.0.1/reconciler")) == 2
    shown = capsys.readouterr()
    assert "sound" not in shown.out
    shop, ledger = shown.err.splitlines()
    assert shop.startswith("At shop.url: mysql:// needs the driver asyncmy, and it is not installed; pip install ")
    assert "requirements/mysql.txt" in shop
    assert ledger.startswith("At ledger.url: postgresql:// needs the driver asyncpg")
    assert "requirements/postgres.txt" in ledger


def test_a_shop_and_a_ledger_in_files_need_no_driver(
    tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_drivers(monkeypatch)
    assert checked(configured(tmp_path, keys, shop="sqlite:////srv/shop.db")) == 0
    assert "sound" in capsys.readouterr().out


@pytest.mark.parametrize("scheme", SERVERS)
def test_each_driver_has_a_file_with_hashes_at_the_version_that_was_tested(scheme: str) -> None:
    server = SERVERS[scheme]
    pins = (ROOT / command.PINNED[scheme]).read_text()
    (pin,) = [line for line in pins.splitlines() if line.startswith(f"{server.driver}==")]
    assert "--hash=sha256:" in pins
    assert pin in (ROOT / "requirements" / "dev.txt").read_text().splitlines()
    extra = server.package.partition("[")[2].rstrip("]")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert [each.partition(">")[0] for each in extras[extra]] == [server.driver]
    assert command.PINNED[scheme] == f"requirements/{extra}.txt", "as the Makefile names it"


@pytest.mark.parametrize("secret", ["short", "whsec_c2hvcnQ=", "whsec_!!!!"])
def test_a_webhook_secret_that_nothing_can_be_signed_with_is_named(
    tmp_path: Path, keys: Path, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(configured(tmp_path, keys, shop="sqlite:///shop.db"))
    (tmp_path / "secret").write_text(secret)
    with path.open("a") as file:
        file.write('\n[settle]\nby = "webhook"\n[settle.webhook]\nurl = "https://shop.example/paid"\n')
        file.write(f'secret = "file:{tmp_path}/secret"\n')
    assert checked(str(path)) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"At settle.webhook.secret: file:{tmp_path}/secret ")
    assert secret not in shown.err
