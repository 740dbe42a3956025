"""A few simulated worlds for every test run; `make simulation` runs a thousand."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.planted import Plant, plants

ROOT = Path(__file__).parents[2]


def simulate(*words: str) -> tuple[int, str]:
    """Run it as a person does, in a process of its own: what is planted stays there."""
    command = [sys.executable, "-m", "tests.simulation", "--jobs", "1", *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603 # ourselves
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("seeds", ["1000-1007", "1008-1015", "1016-1023"])
def test_no_promise_is_broken_in_worlds_that_every_test_run_sees(seeds: str) -> None:
    code, said = simulate("--seeds", seeds, "--orders", "150")
    assert code == 0, said


def test_a_world_is_the_same_each_time_it_is_run() -> None:
    first, again = (simulate("--seed", "1003", "--orders", "150")[1].partition(", in ")[0] for _ in range(2))
    assert first == again


def test_what_is_broken_is_told_with_its_seed_and_the_story_of_the_order() -> None:
    code, said = simulate("--seeds", "0-9", "--plant", "comparing-yuan-as-floats", "--until-broken")
    assert code == 1
    assert "again: python -m tests.simulation --seed" in said
    assert "moved for CNY" in said
    assert "buyer        pays CNY" in said


@pytest.mark.parametrize("plant", plants(), ids=lambda plant: plant.name)
def test_a_plant_still_finds_the_text_that_it_replaces(plant: Plant) -> None:
    for edit in plant.edits:
        found = importlib.util.find_spec(edit.module)
        assert found is not None
        assert found.origin is not None
        assert edit.old in Path(found.origin).read_text()
        assert edit.old != edit.new
