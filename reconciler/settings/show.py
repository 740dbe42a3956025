"""The effective configuration for people and programs: defaults filled in, secrets as references only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from reconciler.settings.model import Settings
from reconciler.settings.preset import preset
from reconciler.settings.problems import key_text
from reconciler.settings.urls import password_in

MASK = "***"

Plain = str | int | float | bool | list["Plain"] | dict[str, "Plain"]


def as_dict(settings: Settings) -> dict[str, Plain]:
    """Give it as JSON values, keys in the models' order; what has no value is left out."""
    return _plain_table(settings.model_dump(mode="json"))


def as_toml(settings: Settings) -> str:
    """Give it as TOML, which loads to the same settings again; what is as the preset has it says so."""
    name = settings.shop.preset
    shipped = preset(name) if name is not None else {}
    return "\n".join(_table((), as_dict(settings), shipped, f"  # preset {name}")).strip() + "\n"


def masked(url: str) -> str:
    """Hide the password that a URL may carry, and leave other text alone."""
    password = password_in(url) if "://" in url else None
    if password is None:
        return url
    parts = urlsplit(url)
    netloc = parts.netloc.replace(f":{password}@", f":{MASK}@") if parts.password else parts.netloc
    return parts._replace(netloc=netloc, query=parts.query if parts.password else MASK).geturl()


def _plain_table(table: Mapping[str, object]) -> dict[str, Plain]:
    # Not exclude_none: an address that is off is None inside, and "off" in the file.
    return {key: _plain(value) for key, value in table.items() if value is not None}


def _plain(value: object) -> Plain:
    if isinstance(value, Mapping):
        return _plain_table(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, bool | int | float):
        return value
    raise TypeError(f"the settings hold a {type(value).__name__}, which TOML cannot say")


def _table(path: tuple[str, ...], table: Mapping[str, Plain], shipped: object, note: str) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    below = shipped if isinstance(shipped, Mapping) else {}
    if path and (len(inner) < len(table) or not table):
        yield f"\n[{'.'.join(_key(part) for part in path)}]"
    for key, value in table.items():
        if key not in inner:
            yield f"{_key(key)} = {_value(value)}{note if key in below and below[key] == value else ''}"
    for key, value in inner.items():
        yield from _table((*path, key), value, below.get(key), note)


def _value(value: Plain) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)


def _key(key: str) -> str:
    return key if key == key_text(key) else json.dumps(key, ensure_ascii=False).replace("\x7f", "\\u007f")
