"""Where commands and daemon meet, and how the one tells that the other is the right one."""

from __future__ import annotations

import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final

from reconciler.settings.model import Settings
from reconciler.settings.show import masked

RUNTIME: Final = Path("/run/reconciler")


def socket_path(settings: Settings) -> Path:
    """Say where daemon and commands meet: `control.socket`, the unit's runtime directory, or a place of this user's.

    Outside systemd the name is derived from the ledger, so that two shops on one machine do not meet.
    """
    if settings.control.socket is not None:
        return Path(settings.control.socket)
    if directory := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(directory.split(":")[0]) / "control.sock"
    if RUNTIME.is_dir():
        return RUNTIME / "control.sock"
    own = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"reconciler-{os.getuid()}"
    return own / f"control-{identity_of(settings)[:12]}.sock"


def identity_of(settings: Settings) -> str:
    """Tell one shop's ledger from another's, without its password."""
    return sha256(_ledger(settings).encode()).hexdigest()


def _ledger(settings: Settings) -> str:
    url = masked(settings.ledger.url)
    return f"sqlite:///{Path(url.removeprefix('sqlite:///')).resolve()}" if url.startswith("sqlite:///") else url
