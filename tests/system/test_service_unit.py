"""The shipped systemd unit, as systemd itself judges it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "reconciler.service"
EXPOSURE_MAX_TENTHS = 12
PROGRAM = "/opt/reconciler/bin/reconciler"

pytestmark = pytest.mark.system


@pytest.fixture
def systemd_analyze() -> str:
    """Give the tool's path. Without it a laptop skips; CI, which installs it, fails."""
    path = shutil.which("systemd-analyze")
    if path is None:
        missing = "systemd-analyze is missing: apt install systemd"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
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


def installed(tmp_path: Path, text: str) -> str:
    """Write the unit as it would stand after an installation, with a program that exists."""
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace(PROGRAM, "/bin/true"), encoding="utf-8")
    return str(copy)


def test_systemd_understands_every_line_of_the_unit(systemd_analyze: str, tmp_path: Path) -> None:
    verdict = run(systemd_analyze, "verify", "--man=no", installed(tmp_path, UNIT.read_text(encoding="utf-8")))

    assert UNIT.name not in verdict.stderr, verdict.stderr
    assert verdict.returncode == 0, verdict.stderr


def test_systemd_would_name_a_line_that_it_does_not_understand(systemd_analyze: str, tmp_path: Path) -> None:
    broken = UNIT.read_text(encoding="utf-8").replace("ProtectSystem=strict", "ProtectSistem=strict")

    verdict = run(systemd_analyze, "verify", "--man=no", installed(tmp_path, broken))

    assert "ProtectSistem" in verdict.stderr


def test_the_unit_is_exposed_no_more_than_a_daemon_with_a_network_must_be(systemd_analyze: str) -> None:
    threshold = f"--threshold={EXPOSURE_MAX_TENTHS}"

    verdict = run(systemd_analyze, "security", "--offline=true", "--no-pager", threshold, str(UNIT))

    assert verdict.returncode == 0, verdict.stdout
    assert "Overall exposure level" in verdict.stdout


def test_the_examples_in_the_unit_are_understood_once_uncommented(systemd_analyze: str, tmp_path: Path) -> None:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    uncommented = [line.removeprefix("#") if line.startswith("#") and line[1:2].isupper() else line for line in lines]
    assert uncommented != lines

    verdict = run(systemd_analyze, "verify", "--man=no", installed(tmp_path, "\n".join(uncommented) + "\n"))

    assert UNIT.name not in verdict.stderr, verdict.stderr
