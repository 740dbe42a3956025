"""What a command loads, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

_LOAD = """
import json, sys
before = set(sys.modules)
from reconciler.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print()
print(json.dumps([len(sys.modules), sorted(set(sys.modules) - before)]))
"""


def loaded_by(*arguments: str) -> tuple[int, list[str]]:
    """Run a command; give how many modules are loaded at its end, and the names of those that came with it."""
    program = [sys.executable, "-c", _LOAD, *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=True)  # noqa: S603 # ourselves
    count, names = json.loads(done.stdout.splitlines()[-1])
    return count, names
