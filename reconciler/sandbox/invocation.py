"""How this program was started, so that a command we show can be typed as it stands."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

PROGRAM = "reconciler"


def command(*words: str) -> str:
    """Give a command line of this program that works from the current directory."""
    return shlex.join([*_program(Path(sys.argv[0])), *words])


def shown_path(path: Path) -> str:
    """Give a path as a person would type it here: relative below the current directory, else absolute."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 # without resolving links: .venv/bin/python is one
    here = Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(absolute)


def _program(started: Path) -> list[str]:
    if started.name != PROGRAM:
        return [shown_path(Path(sys.executable)), "-m", PROGRAM]
    found = shutil.which(PROGRAM)
    if found is not None and Path(found).resolve() == started.resolve():
        return [PROGRAM]
    return [shown_path(started)]
