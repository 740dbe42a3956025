"""Bugs on purpose: each is written into the source as it is loaded, and the simulation must find it.

    python -m tests.simulation --plant guard-without-status --seeds 0-199
    python -m tests.simulation.planted              # all of them, one after another

A plant names the text that it replaces; where that text is gone, planting fails, so that no plant goes stale unseen.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True, slots=True)
class Edit:
    """One replacement in one module's source."""

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Plant:
    """One bug."""

    name: str
    edits: tuple[Edit, ...]


def plants() -> tuple[Plant, ...]:
    """Read them all."""
    read = tomllib.loads((Path(__file__).parent / "planted.toml").read_text())
    return tuple(Plant(one["name"], tuple(Edit(**edit) for edit in one["edit"])) for one in read["plant"])


class _Planter(importlib.abc.SourceLoader):
    """Loads a module with the bug in it."""

    def __init__(self, path: str, edits: Sequence[Edit]) -> None:
        self._path = path
        self._edits = edits

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002 # the loader's protocol
        return self._path

    def get_data(self, path: str | bytes) -> bytes:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 # what a loader is given is a name
            source = file.read()
        for edit in self._edits:
            if edit.old not in source:
                raise LookupError(f"{edit.module} does not read any more: {edit.old}")
            source = source.replace(edit.old, edit.new, 1)
        return source.encode()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds those modules that a bug is planted in."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        edits = [edit for edit in self._plant.edits if edit.module == fullname]
        found = importlib.machinery.PathFinder.find_spec(fullname, path, target) if edits else None
        if found is None or found.origin is None:
            return None
        return importlib.util.spec_from_loader(fullname, _Planter(found.origin, edits), origin=found.origin)


def plant(name: str) -> None:
    """Plant a bug, before anything is imported that it is in. Raises LookupError for one that is not known."""
    chosen = next((one for one in plants() if one.name == name), None)
    if chosen is None:
        raise LookupError(f"no plant is called {name}: {', '.join(one.name for one in plants())}")
    loaded = [edit.module for edit in chosen.edits if edit.module in sys.modules]
    if loaded:
        raise LookupError(f"too late: {loaded} are loaded")
    sys.meta_path.insert(0, _Finder(chosen))


def main(seeds: str = "0-199") -> int:
    """Plant each, and say after how many worlds it was found; 1 where one was not."""
    missed = []
    for one in plants():
        command = [sys.executable, "-m", "tests.simulation", "--plant", one.name, "--seeds", seeds, "--until-broken"]
        said = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 # ourselves
        broken = [line for line in said.stdout.splitlines() if line.startswith("seed ")]
        if said.returncode != 1 or not broken:
            missed.append(one.name)
        print(f"{one.name}: {broken[0] if broken else 'NOT FOUND'}{said.stderr}")  # noqa: T201 # a command prints
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
