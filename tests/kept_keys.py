"""The sandbox's keys, made once in a run: nine RSA keys take half a second, and no test needs others than the next."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from reconciler.sandbox.keys import Keys, keep_keys


def kept_keys(directory: Path) -> Keys:
    """Give keys, with their files in this directory as `keep_keys` leaves them."""
    kept, keys = _made()
    shutil.copytree(kept, directory, dirs_exist_ok=True)
    return keys


@functools.cache
def _made() -> tuple[Path, Keys]:
    kept = Path(tempfile.mkdtemp(prefix="reconciler-keys-"))
    atexit.register(shutil.rmtree, kept)
    return kept, keep_keys(kept)
