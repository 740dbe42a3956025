"""The simulated world by hand: `python -m tests.simulation --seed 7 --days 3 --orders 500`."""

from __future__ import annotations

import argparse
import ast
import gc
import hashlib
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.simulation.planted import plant as plant_bug

if TYPE_CHECKING:
    from tests.simulation.run import Ended

AT_ONCE = 32
"""Worlds that are given out together, so that a failure ends the rest soon."""
TOLD_EVERY = 500
"""Worlds after which a long run says how far it is: one that is broken off is good for what it said."""


@dataclass(slots=True)
class Sum:
    """What came of the worlds so far."""

    first: int
    of: str
    worlds: int = 0
    failed: list[int] = field(default_factory=list)
    lives: int = 0
    delivered: int = 0
    cases: int = 0
    since: float = field(default_factory=time.monotonic)

    def add(self, ended: Ended) -> None:
        """Take the next one, in the order of their seeds."""
        self.worlds += 1
        self.lives += ended.lives
        self.cases += ended.cases
        self.delivered += ended.delivered.get("us", 0)
        if ended.broken is not None:
            self.failed.append(ended.plan.seed)

    def __str__(self) -> str:
        return (
            f"{self.worlds} worlds of {self.of}, {self.first} to {self.first + self.worlds - 1}:"
            f" {len(self.failed)} broken{' (' + ', '.join(map(str, self.failed)) + ')' if self.failed else ''};"
            f" {self.delivered} orders moved by us, {self.cases} cases, {self.lives} processes,"
            f" in {time.monotonic() - self.since:.0f} s"
        )


def main() -> int:
    """Run the worlds; give 1 where a promise was broken."""
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets iterate by hash: one seed decides that, too
        again = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606 # ourselves
    words = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    words.add_argument("--seed", type=int, help="one world")
    words.add_argument("--seeds", default="0-99", help="worlds from, to")
    words.add_argument("--days", type=float, default=3.0)
    words.add_argument("--orders", type=int, default=500)
    words.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    words.add_argument("--plant", help="with a bug of tests/simulation/planted.py")
    words.add_argument("--until-broken", action="store_true", help="end with the first that is")
    said = words.parse_args()
    if said.days < 1:
        words.error("--days: at least one; what is promised takes that long to show")
    first, last = (said.seed, said.seed) if said.seed is not None else map(int, said.seeds.split("-"))
    with ProcessPoolExecutor(1) as apart:  # here nothing is loaded, so that bugs can be planted
        sources = apart.submit(_sources).result()
    total = Sum(first, f"{said.days:g} days and {said.orders} orders")
    _say(f"worlds {first} to {last} of {total.of}, on sources {sources}")
    for ended in _all(range(first, last + 1), said.days, said.orders, said.jobs, said.plant):
        total.add(ended)
        if total.worlds % TOLD_EVERY == 0:
            _say(f"so far {total}, on sources {sources}")
        if ended.broken is not None:
            _tell(ended, f"--days {said.days:g} --orders {said.orders}{f' --plant {said.plant}' if said.plant else ''}")
            if said.until_broken:
                break
    _say(f"{total}, on sources {sources}")
    return 1 if total.failed else 0


def _all(seeds: range, days: float, orders: int, jobs: int, plant: str | None) -> Iterator[Ended]:
    with ProcessPoolExecutor(jobs, initializer=_begin, initargs=(plant,)) as pool:
        for begin in range(0, len(seeds), AT_ONCE):
            some = seeds[begin : begin + AT_ONCE]
            yield from pool.map(_one, some, [days] * len(some), [orders] * len(some))


def _begin(plant: str | None) -> None:
    """Plant the bug in a process that has loaded nothing yet."""
    if plant is not None:
        plant_bug(plant)
    gc.disable()  # a world is short, and what it keeps is walked again and again for nothing


def _one(seed: int, days: float, orders: int) -> Ended:
    """Run one world."""
    from tests.simulation.plan import plan  # noqa: PLC0415 # a bug is to be planted first
    from tests.simulation.run import simulate  # noqa: PLC0415 # the same

    ended = simulate(plan(seed, days, orders))
    gc.collect()
    return ended


def _tell(ended: Ended, how: str) -> None:
    """Print a failure: its seed, what was broken, and what happened to the order concerned."""
    broken = ended.broken
    assert broken is not None
    _say(f"\nseed {ended.plan.seed}: {f'order {broken.order}: ' if broken.order else ''}{broken.how}")
    _say(f"  again: python -m tests.simulation --seed {ended.plan.seed} {how}")
    for told in ended.story:
        _say(f"  {told.at:10.1f} s  {told.who:12} {told.what}")


def _sources() -> str:
    """Name what was simulated: every module of ours that a world loads, by its code without docstrings and comments."""
    import tests.simulation.run  # noqa: F401, PLC0415 # a bug is to be planted first

    files = {
        name: Path(module.__file__)
        for name, module in sys.modules.items()
        if name.startswith(("reconciler.", "tests.simulation.")) and module.__file__
    }
    texts = (f"{name}\n{code_of(files[name].read_text())}" for name in sorted(files))
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def code_of(text: str) -> str:
    """Give a module's code without docstrings and comments."""
    return ast.unparse(_Code().visit(ast.parse(text)))


class _Code(ast.NodeTransformer):
    """Takes texts away that stand by themselves: docstrings. Comments are no part of a tree."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 # a command prints


if __name__ == "__main__":
    sys.exit(main())
