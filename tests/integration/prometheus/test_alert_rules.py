"""The alert rules and the example configuration, as promtool judges them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.integration.prometheus.server import ROOT, RULES, program

TESTS = Path(__file__).parent / "alerts_test.yml"


def promtool(*words: str, directory: Path = ROOT) -> str:
    done = subprocess.run(  # noqa: S603 # our own words
        [program("promtool"), *words], cwd=directory, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_and_example_configuration_are_sound() -> None:
    named = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert f"{len(named)} rules found" in promtool("check", "rules", str(RULES))
    assert "SUCCESS" in promtool("check", "config", str(RULES.parent / "prometheus.yml"))


def test_each_rule_fires_when_it_should_and_no_other_beside_it() -> None:
    assert "SUCCESS" in promtool("test", "rules", TESTS.name, directory=TESTS.parent)


def test_no_rule_is_left_untried() -> None:
    named = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert set(re.findall(r'alertname="(\w+)"', TESTS.read_text())) == set(named)
