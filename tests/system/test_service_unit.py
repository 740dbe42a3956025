"""The shipped systemd units, as systemd itself judges them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.system.machine import unless_missing

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "reconciler.service"
TEMPLATE = ROOT / "reconciler@.service"
UNITS = pytest.mark.parametrize("unit", [UNIT, TEMPLATE], ids=lambda path: path.name)
EXPOSURE_MAX_TENTHS = 12
PROGRAM = "/opt/reconciler/bin/reconciler"

NAMES_THE_SHOP = {"Description", "ExecStart", "StateDirectory", "RuntimeDirectory", "SocketBindAllow"}

pytestmark = pytest.mark.system


@pytest.fixture
def systemd_analyze() -> str:
    """Give the tool's path. Without it a laptop skips; CI, which installs it, fails."""
    path = shutil.which("systemd-analyze")
    unless_missing("" if path else "no systemd-analyze: apt install systemd")
    assert path
    return path


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 # the tool that shutil.which found, and paths of ours
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "cat", "LC_ALL": "C.UTF-8"},
    )


def installed(unit: Path, tmp_path: Path, text: str) -> str:
    """Write the unit as it would stand after an installation, with a program that exists."""
    copy = tmp_path / unit.name.replace("@", "@shop")
    copy.write_text(text.replace(PROGRAM, "/bin/true"), encoding="utf-8")
    return str(copy)


@UNITS
def test_systemd_understands_every_line_of_the_unit(systemd_analyze: str, tmp_path: Path, unit: Path) -> None:
    copy = installed(unit, tmp_path, unit.read_text(encoding="utf-8"))

    verdict = run(systemd_analyze, "verify", "--man=no", copy)

    assert Path(copy).name not in verdict.stderr, verdict.stderr
    assert verdict.returncode == 0, verdict.stderr


def test_systemd_would_name_a_line_that_it_does_not_understand(systemd_analyze: str, tmp_path: Path) -> None:
    broken = UNIT.read_text(encoding="utf-8").replace("ProtectSystem=strict", "ProtectSistem=strict")

    verdict = run(systemd_analyze, "verify", "--man=no", installed(UNIT, tmp_path, broken))

    assert "ProtectSistem" in verdict.stderr


@UNITS
def test_the_unit_is_exposed_no_more_than_a_daemon_with_a_network_must_be(systemd_analyze: str, unit: Path) -> None:
    threshold = f"--threshold={EXPOSURE_MAX_TENTHS}"

    verdict = run(systemd_analyze, "security", "--offline=true", "--no-pager", threshold, str(unit))

    assert verdict.returncode == 0, verdict.stdout
    assert "Overall exposure level" in verdict.stdout


@UNITS
def test_the_unit_says_why_for_each_protection_that_it_goes_without(systemd_analyze: str, unit: Path) -> None:
    verdict = run(systemd_analyze, "security", "--offline=true", "--json=short", str(unit))
    lacks = [check["name"] for check in json.loads(verdict.stdout) if check["set"] is False and check["exposure"]]
    comments = " ".join(line for line in unit.read_text(encoding="utf-8").splitlines() if line.startswith("#"))

    assert lacks
    for name in lacks:
        setting, _, value = name.partition("=")
        assert f"{setting}=" in comments, name
        for family in re.findall(r"AF_\w+", value.replace("(INET|INET6)", "INET6")):
            assert family in comments, name


@UNITS
def test_the_examples_in_the_unit_are_understood_once_uncommented(
    systemd_analyze: str, tmp_path: Path, unit: Path
) -> None:
    lines = unit.read_text(encoding="utf-8").splitlines()
    uncommented = [line.removeprefix("#") if line.startswith("#") and line[1:2].isupper() else line for line in lines]
    assert uncommented != lines
    copy = installed(unit, tmp_path, "\n".join(uncommented) + "\n")

    verdict = run(systemd_analyze, "verify", "--man=no", copy)

    assert Path(copy).name not in verdict.stderr, verdict.stderr


def settings(unit: Path) -> list[tuple[str, str]]:
    """Give a unit's lines that are no comment, in order."""
    lines = unit.read_text(encoding="utf-8").splitlines()
    return [(line.partition("=")[0], line.partition("=")[2]) for line in lines if line and not line.startswith("#")]


def test_the_template_is_the_unit_but_for_the_lines_that_name_the_shop() -> None:
    one, many = settings(UNIT), settings(TEMPLATE)

    assert [name for name, _ in one] == [name for name, _ in many]
    assert {name for (name, value), (_, other) in zip(one, many, strict=True) if value != other} == NAMES_THE_SHOP
