"""The third pass: every secret is read, and the keys are tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

from reconciler.settings.channel import ChannelSettings
from reconciler.settings.draft import Draft
from reconciler.settings.problems import Path, Problem, dotted
from reconciler.settings.secret import Secret, SecretError
from reconciler.settings.types import Strict


def credential_problems(draft: Draft, *, asks: bool = True) -> Iterator[Problem]:
    """Load every secret that the file names, of tables with faults too; `asks`: and let each channel try its own."""
    for path, model in draft.models.items():
        table = draft.tables.get(path)
        private = model.private_fields if issubclass(model, ChannelSettings) else frozenset()
        found = list(_table_problems(draft, path, model, private))
        yield from found
        if not asks or found or not isinstance(table, ChannelSettings):
            continue
        if draft.is_clean(*map(str, path)):
            for key, text in table.problems():
                yield Problem(dotted((*path, key)), text)


def _table_problems(draft: Draft, path: Path, model: type[Strict], private: frozenset[str]) -> Iterator[Problem]:
    for key in model.model_fields:
        for where, secret in _secrets(draft, path, model, key):
            try:
                secret.load()
                exposed = key in private and secret.is_exposed()
            except SecretError as error:
                yield Problem(dotted(where), str(error))
                continue
            if exposed:
                remedy = f"chmod 0600 {secret.path}"
                yield Problem(dotted(where), f"the private key's file {secret.path} is open to others; run: {remedy}")


def _secrets(draft: Draft, path: Path, model: type[Strict], key: str) -> Iterator[tuple[Path, Secret]]:
    """Give the secrets of a field: from the table, or, where a fault keeps it out of there, from the file's text."""
    table = draft.tables.get(path)
    value: object = getattr(table, key, None) if table is not None else _reference(draft.raw, path, model, key)
    if isinstance(value, Secret):
        yield (*path, key), value
    elif isinstance(value, tuple):
        yield from (((*path, key, place), each) for place, each in enumerate(value) if isinstance(each, Secret))
    elif isinstance(value, Mapping):
        for name, listed in value.items():
            for place, each in enumerate(listed if isinstance(listed, tuple) else ()):
                if isinstance(each, Secret):
                    yield (*path, key, name, place), each


def _reference(raw: object, path: Path, model: type[Strict], key: str) -> Secret | None:
    for part in (*path, key):
        raw = raw.get(part) if isinstance(raw, Mapping) else None
    annotation = model.model_fields[key].annotation
    if not isinstance(raw, str) or not (annotation is Secret or Secret in get_args(annotation)):
        return None
    try:
        return Secret(raw)
    except ValueError:
        return None  # the first pass said so
