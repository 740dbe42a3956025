"""The configuration: every fault of it at once."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from reconciler.doctor.remark import Remark, apart, fault, warning, well
from reconciler.gateways import SETTINGS
from reconciler.settings.channel import text_of_shop_value
from reconciler.settings.load import load
from reconciler.settings.model import Settings
from reconciler.settings.problems import ConfigurationError, key_text

SUBJECT = "configuration"


def look(path: Path) -> tuple[Settings | None, tuple[Remark, ...]]:
    """Read and check the file; give no settings where it cannot be used."""
    try:
        settings = load(path, SETTINGS)
    except ConfigurationError as error:
        return None, tuple(_faults(error, path))
    channels = ", ".join(settings.channels)
    remarks = [well(SUBJECT, f"{path}: mode {settings.mode}, channels {channels}")]
    remarks += _limits(settings)
    if path.stat().st_mode & stat.S_IWOTH:
        remarks.append(warning(SUBJECT, f"anybody may write to {path}", f"chmod o-w {path}"))
    return settings, tuple(remarks)


def _limits(settings: Settings) -> Iterator[Remark]:
    """Doubt a limit on what an order ends as: it would be over it for ever."""
    states = settings.shop.orders.states
    final = set(map(text_of_shop_value, (*states.closed, *states.refunded)))
    for status in final & set(settings.processing_limits):
        text = f"processing_limits.{key_text(status)} is a status in which orders end, and so stay for ever"
        yield warning(SUBJECT, text, "leave it out; a limit is for a status that orders leave")


def _faults(error: ConfigurationError, path: Path) -> Iterator[Remark]:
    for problem in error.problems:
        text, remedy = apart(problem.text, f"correct it in {path}; docs/reference/settings.md has every key")
        yield fault(SUBJECT, f"At {problem.path}: {text}", remedy)
