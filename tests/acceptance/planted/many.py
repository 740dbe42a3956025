"""Many commands in one process, since starting one is what takes the time: `many.py CONFIG`, commands in stdin."""

from __future__ import annotations

import contextlib
import json
import sys

from reconciler.cli import main

for words in json.loads(sys.stdin.read()):
    sys.stdout.write(f"$ reconciler {' '.join(words)}\n")
    sys.stdout.flush()
    with contextlib.suppress(SystemExit):
        main([*words, "--config", sys.argv[1]])
    sys.stdout.flush()
