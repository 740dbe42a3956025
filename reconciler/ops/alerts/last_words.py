"""The last words of a process that ends by a fault: told once an hour, however often it is started again.

systemd starts it again every few seconds, and whatever it remembers ends with it. So a file in its state directory says
what was told last; where there is none (by hand, in a test) nobody starts it again either.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

AGAIN_AFTER: Final = timedelta(hours=1)
NAME: Final = "last-words"
BYTES_MAX: Final = 200


def may_speak(directory: Path | None, what: str, now: datetime) -> bool:
    """Whether this is to be told now; remembers that it was."""
    if directory is None:
        return True
    path, kind = directory / NAME, what.partition(":")[0][:BYTES_MAX]
    try:
        said, told_at = path.read_text().strip(), datetime.fromtimestamp(path.stat().st_mtime, now.tzinfo)
        if said == kind and timedelta(0) <= now - told_at < AGAIN_AFTER:
            return False
    except (OSError, ValueError):
        pass  # never told, or not to be read: told twice is better than not at all
    try:
        path.write_text(kind)
    except OSError:
        return True
    return True
