"""Every secret of a configuration: what the log must never print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.settings.secret import Secret
from reconciler.settings.types import Strict


def secrets_in(value: object) -> Iterator[Secret]:
    """Give every secret in a table and in the tables below it."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Strict):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from secrets_in(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from secrets_in(each)
