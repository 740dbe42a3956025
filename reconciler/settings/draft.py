"""The first pass: every table by itself, so that a fault in one hides none in another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from reconciler.settings.channel import ChannelSettings
from reconciler.settings.model import Settings
from reconciler.settings.problems import Path, Problem, dotted, nearest, tables_of, translate
from reconciler.settings.types import Strict

CHANNELS_MAX = 10_000
_EXAMPLE = '[channels.alipay-main] with gateway = "alipay"'
_CHANNEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")

T = TypeVar("T", bound=Strict)


class GatewayUnusable(Exception):
    """A gateway that is installed and of no use, or cannot be known: the text says which, from where, and why.

    Raised by looking it up among the gateways: only a configuration that names it has the problem.
    """


@dataclass(slots=True)
class Draft:
    """What could be understood of a file."""

    raw: Mapping[str, object]
    problems: list[Problem] = field(default_factory=list)
    tables: dict[Path, Strict] = field(default_factory=dict)
    """Each table as far as it could be understood: keys with faults are as if they were not there."""
    models: dict[Path, type[Strict]] = field(default_factory=dict)
    """The model of each table that is in the file, understood or not."""
    faulty: set[Path] = field(default_factory=set)

    def table(self, model: type[T], *path: str) -> T | None:
        """Give a table, or its default where the file has none; None where it is absent or beyond understanding."""
        found = self.tables.get(path)
        if found is None and path not in self.models and len(path) == 1:
            found = Settings.model_fields[path[0]].get_default()
        return found if isinstance(found, model) else None

    def is_clean(self, *path: str) -> bool:
        """Whether a table had no fault: a key that it has not was left out on purpose."""
        return not any(fault[: len(path)] == path for fault in self.faulty)

    def channels(self) -> Mapping[str, ChannelSettings]:
        """Give the channels that could be understood, in the file's order."""
        return {str(path[1]): table for path, table in self.tables.items() if isinstance(table, ChannelSettings)}

    def channel_count(self) -> int:
        """Count the channels of the file, understood or not."""
        channels = self.raw.get("channels")
        return len(channels) if isinstance(channels, Mapping) else 0

    def add(self, path: Path, text: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(dotted(path), text))


def understand(raw: Mapping[str, object], gateways: Mapping[str, type[ChannelSettings]]) -> Draft:
    """Check the structure of a whole file."""
    draft = Draft(raw)
    channels = _channels(draft, raw.get("channels"), gateways)
    _table(draft, Settings, (), {**raw, "channels": channels})
    return draft


def _table(draft: Draft, model: type[Strict], path: Path, raw: object) -> Strict | None:
    """Validate a table, its own tables first; with faults, as much of it as stands without them."""
    if not isinstance(raw, Mapping):
        draft.faulty.add(path)
        draft.add(path, f"must be a table: [{dotted(path)}]")
        return None
    draft.models[path] = model
    data = dict(raw)
    for key, nested in tables_of(model).items():
        if key in data and issubclass(nested, Strict):
            data[key] = _table(draft, nested, (*path, key), data[key])
    failed = {key for key, value in data.items() if value is None}  # TOML has no null
    data = {key: value for key, value in data.items() if key not in failed}
    table = _validate(draft, model, path, data, failed)
    if table is not None:
        draft.tables[path] = table
    return table


def _validate(
    draft: Draft, model: type[Strict], path: Path, data: Mapping[str, object], failed: AbstractSet[str]
) -> Strict | None:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = [(first, problem) for first, problem in translate(error, model, path) if first not in failed]
        faults = {details["loc"][0] for details in error.errors(include_input=False) if details["loc"]}
    if found:
        draft.faulty.add(path)
        draft.problems.extend(problem for _, problem in found)
    try:
        return model.model_validate({key: value for key, value in data.items() if key not in faults})
    except ValidationError:
        return None


def _channels(
    draft: Draft, raw: object, gateways: Mapping[str, type[ChannelSettings]]
) -> Mapping[str, ChannelSettings] | None:
    """Validate each channel by its own gateway's model; None where the table cannot stand."""
    path: Path = ("channels",)
    if not isinstance(raw, Mapping) or not 0 < len(raw) <= CHANNELS_MAX:
        draft.faulty.add(path)
        draft.add(path, f"needs one channel at least (at most {CHANNELS_MAX}); add a table like {_EXAMPLE}")
        return None
    found = {name: _channel(draft, (*path, name), table, gateways) for name, table in raw.items()}
    return {name: table for name, table in found.items() if table is not None} or None


def _channel(
    draft: Draft, path: Path, raw: object, gateways: Mapping[str, type[ChannelSettings]]
) -> ChannelSettings | None:
    if _CHANNEL_NAME.fullmatch(str(path[-1])) is None:
        draft.faulty.add(path)
        draft.add(path, "is no name for a channel; use up to 64 letters, digits, - and _, like alipay-main")
    gateway = raw.get("gateway") if isinstance(raw, Mapping) else None
    try:
        model = gateways.get(gateway) if isinstance(gateway, str) else None
    except GatewayUnusable as problem:
        draft.faulty.add(path)
        draft.add((*path, "gateway"), str(problem))
        return None
    if not isinstance(raw, Mapping) or model is not None:
        table = _table(draft, model or ChannelSettings, path, raw)
        return table if isinstance(table, ChannelSettings) else None
    draft.faulty.add(path)
    if gateway is None:
        draft.add(
            (*path, "gateway"), f'this key is missing; add it: gateway = "{next(iter(sorted(gateways)), "alipay")}"'
        )
    else:
        draft.add((*path, "gateway"), _no_such_gateway(gateway, gateways))
    return None


def _no_such_gateway(gateway: object, gateways: Mapping[str, type[ChannelSettings]]) -> str:
    known = ", ".join(f'"{name}"' for name in sorted(gateways)) or "none"
    near = nearest(gateway, gateways) if isinstance(gateway, str) else None
    hint = f'; did you mean "{near}"?' if near else ""
    return f"names no gateway that exists{hint} (there are: {known})"
