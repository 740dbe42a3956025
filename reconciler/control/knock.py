"""The command's side of the door."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.control.place import identity_of, socket_path
from reconciler.ops.control_client import call
from reconciler.settings.model import Settings


def ask_the_daemon(
    settings: Settings, command: str, arguments: Mapping[str, object], timeout_s: float
) -> dict[str, object]:
    """Have the daemon of this very configuration's ledger carry out a command. Raises NoDaemon and CommandFailed.

    Several shops of one machine may meet on one socket, where nobody set `control.socket`: the daemon compares.
    """
    return call(socket_path(settings), command, {**arguments, "ledger": identity_of(settings)}, timeout_s)
