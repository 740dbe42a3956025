"""The directory that a sandbox lives in: ours, marked as ours, and one sandbox at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.sandbox.errors import NotOurs

MARKER = ".reconciler-sandbox"
SOCKET_PATH_BYTES_MAX = 100
"""Linux takes 107; the shop's lock and others want a suffix."""
_WIPED = ("shop.db*", "ledger.db*", "reconciler.toml", "control.sock")
"""Lock files stay: whoever still holds one goes on holding it."""
_MARKER_TEXT = "Made by `reconciler demo` or `reconciler sandbox`, which wipe what they made here when they start.\n"


@dataclass(frozen=True, slots=True)
class Place:
    """The paths in a sandbox's directory."""

    directory: Path

    @property
    def configuration(self) -> Path:
        """The configuration file."""
        return self.directory / "reconciler.toml"

    @property
    def keys(self) -> Path:
        """Where the keys are kept; they outlive a fresh start."""
        return self.directory / "keys"

    @property
    def shop(self) -> Path:
        """The shop's database."""
        return self.directory / "shop.db"

    @property
    def ledger(self) -> Path:
        """The daemon's ledger."""
        return self.directory / "ledger.db"

    @property
    def control(self) -> Path:
        """The daemon's control socket."""
        return self.directory / "control.sock"


@contextmanager
def fresh_place(directory: Path) -> Iterator[Place]:
    """Hold a directory, made, or wiped of what an earlier sandbox made in it and nothing else. Raises NotOurs."""
    place = Place(directory.absolute())
    _claim(place)
    with (place.directory / MARKER).open("w") as marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NotOurs(f"another sandbox runs in {directory}; stop it, or give another --directory") from error
        marker.write(_MARKER_TEXT)
        marker.flush()
        for pattern in _WIPED:
            for made in place.directory.glob(pattern):
                made.unlink()
        yield place


def _claim(place: Place) -> None:
    directory = place.directory
    if not str(directory).isprintable() or set(str(directory)) & set(" %?#"):
        raise NotOurs(f"{directory}: a database URL takes no blank, %, ? or # in a path; give another --directory")
    if len(bytes(place.control)) > SOCKET_PATH_BYTES_MAX:
        raise NotOurs(f"{directory} is too long a path for a Unix socket in it; give a shorter --directory")
    if not directory.exists():
        directory.mkdir(mode=0o700, parents=True)
    elif not directory.is_dir():
        raise NotOurs(f"{directory} is a file; give another --directory")
    elif not (directory / MARKER).is_file() and any(directory.iterdir()):
        raise NotOurs(f"{directory} has something in it that no sandbox made; give another --directory")
