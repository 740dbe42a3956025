"""How well different rules of asking do on the same days: queries an order, and the time until a payment is found.

python -m benchmarks.asking                        # seeds that nothing was tuned on; prints the tables
python -m benchmarks.asking --seeds 7-9 --plot docs/asking.svg
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.shop_day.day import KINDS, ORDERS, Kind, draw
from benchmarks.shop_day.play import Played, play
from benchmarks.shop_day.plot import picture
from benchmarks.shop_day.rules import RIVALS, ours
from benchmarks.shop_day.table import Line, against_each, figures, line_of

PROCESSES_MAX = 16


def main(arguments: Sequence[str]) -> None:
    """Play every rule on every day, and print what came of it."""
    parser = argparse.ArgumentParser(prog="benchmarks.asking", description="Play rules of asking on the same days.")
    parser.add_argument("--seeds", default="101-103", help="of the days, as FIRST-LAST; 1 to 99 are for tuning")
    parser.add_argument("--orders", type=int, default=ORDERS, help="a day")
    parser.add_argument("--plot", type=Path, help="where to write the picture, as SVG")
    chosen = parser.parse_args(arguments)
    first, _, last = chosen.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    print(f"seeds {chosen.seeds}, {chosen.orders} orders a day")
    panels = compare(KINDS, seeds, chosen.orders)
    for name, lines in panels.items():
        print(f"\n#### {name[0].upper()}{name[1:]}\n")
        print(*figures(lines), "", *against_each(lines), sep="\n")
    if chosen.plot:
        chosen.plot.write_text(picture(panels))


def compare(kinds: Sequence[Kind], seeds: Sequence[int], orders: int) -> dict[str, list[Line]]:
    """Play every rule on the days of each kind, the days side by side."""
    days = [(kind, seed, orders) for kind in kinds for seed in seeds]
    with ProcessPoolExecutor(min(len(days), PROCESSES_MAX), get_context("spawn")) as side_by_side:
        played = dict(zip(days, side_by_side.map(play_all, days), strict=True))
    named = [(rule.name, False) for rule in RIVALS] + [(rule.name, True) for rule in ours()]
    return {
        kind.name: [
            line_of(name, [played[kind, seed, orders][place] for seed in seeds], is_ours=own)
            for place, (name, own) in enumerate(named)
        ]
        for kind in kinds
    }


def play_all(day: tuple[Kind, int, int]) -> list[Played]:
    """Play every rule on one day, in their order."""
    drawn = draw(*day)
    return [play(rule, drawn) for rule in (*RIVALS, *ours())]


if __name__ == "__main__":
    main(sys.argv[1:])
