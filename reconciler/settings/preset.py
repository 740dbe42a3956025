"""`shop.preset`: a shipped mapping to start from. The file's own keys win, key by key; a list replaces a list."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

from reconciler.settings.problems import Problem, nearest

PATH: Final = "shop.preset"
_SUFFIX: Final = ".toml"
_HOME: Final = resources.files("reconciler").joinpath("shops", "presets")
"""Data of the shop's side, not code: read by its place in the package, also from an installed one."""


@cache
def names() -> tuple[str, ...]:
    """Name those that exist."""
    files = (file.name for file in _HOME.iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX)))


def text_of(name: str) -> str:
    """Give a preset as it is shipped, with what its header tells an operator. Raises KeyError where there is none."""
    if name not in names():
        raise KeyError(name)
    return _HOME.joinpath(name + _SUFFIX).read_text("utf-8")


@cache
def preset(name: str) -> Mapping[str, object]:
    """Give a preset's tables. Raises KeyError where there is none."""
    return tomllib.loads(text_of(name))


def with_preset(raw: Mapping[str, object]) -> tuple[Mapping[str, object], tuple[Problem, ...]]:
    """Put a file's tables over the preset that it names; with a problem where it names none that exists.

    What is no text is left to the models to complain of. For a misspelt name the nearest one stands in, so that the
    rest of the file is judged by it.
    """
    shop = raw.get("shop")
    name = shop.get("preset") if isinstance(shop, Mapping) else None
    if not isinstance(name, str):
        return raw, ()
    if name in names():
        return _over(preset(name), raw), ()
    near = nearest(name, names())
    hint = f'; did you mean "{near}"?' if near else ""
    known = ", ".join(f'"{each}"' for each in names())
    problem = Problem(PATH, f"names no preset that exists{hint} (there are: {known}); or leave it out, and map all")
    return (_over(preset(near), raw) if near else raw), (problem,)


def _over(below: Mapping[str, object], above: Mapping[str, object]) -> Mapping[str, object]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _over(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged
