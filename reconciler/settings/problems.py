"""What is wrong with a configuration, in an operator's words."""

from __future__ import annotations

import difflib
import json
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

PROBLEMS_MAX = 1000
KEY_LENGTH_MAX = 60
KEYS_SHOWN_MAX = 30
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, and where: `channels.wechat-main.serial_no`."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"At {self.path}: {self.text}"


class ConfigurationError(Exception):
    """The configuration cannot be used; one line each for all that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        shown = [str(problem) for problem in self.problems[:PROBLEMS_MAX]]
        if len(self.problems) > PROBLEMS_MAX:
            shown.append(f"and {len(self.problems) - PROBLEMS_MAX} more")
        super().__init__("\n".join(shown))


def dotted(path: Sequence[str | int]) -> str:
    """Write a path as an operator would: `ask.ages[2]`; a key that needs quotes gets them."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + key_text(part)
    return text


def key_text(key: str) -> str:
    """Write a key as TOML does, shortened: it may be anything."""
    short = key if len(key) <= KEY_LENGTH_MAX else key[:KEY_LENGTH_MAX] + "…"
    return short if _BARE_KEY.fullmatch(short) else json.dumps(short, ensure_ascii=not short.isprintable())


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Find the known word that a misspelt one was meant to be."""
    found = difflib.get_close_matches(word[:KEY_LENGTH_MAX], list(known), n=1)
    return found[0] if found else None


def unknown(word: str, known: Iterable[str], what: str = "key") -> str:
    """Say that a word is not known: with the nearest one, or with all."""
    names = list(known)
    near = nearest(word, names)
    if near is not None:
        return f"unknown {what}; did you mean `{near}`?"
    listed = ", ".join(f"`{key_text(name)}`" for name in names[:KEYS_SHOWN_MAX])
    return f"unknown {what}; known here: {listed or 'none'}"


def translate(error: ValidationError, model: type[BaseModel], base: Path) -> Iterator[tuple[str | int, Problem]]:
    """Put pydantic's findings into our words, without a value of the file in them; each with its first key."""
    found = error.errors(include_url=False, include_input=False)
    within = {details["loc"][: len(details["loc"]) - 1] for details in found}
    for details in found:
        if details["type"] == "too_short" and details["loc"] in within:
            continue  # only because what stands there has a fault of its own
        loc = tuple(part for part in details["loc"] if part != "[key]")
        table, field, key = _find(model, loc)
        yield loc[0] if loc else "", Problem(dotted((*base, *loc)), _say(details, table, field, key))


def _say(details: ErrorDetails, table: type[BaseModel], field: FieldInfo | None, key: str) -> str:
    context = details.get("ctx", {})
    like = _example(field, key)
    match details["type"]:
        case "value_error" | "assertion_error":
            text = str(context["error"])
        case "extra_forbidden":
            text = unknown(key, table.model_fields)
        case "missing" if field is not None and _table_in(field.annotation):
            text = "this table is missing; add it with its keys"
        case "missing":
            text = f"this key is missing{_example(field, key, '; add it: ')}"
        case "literal_error":
            text = f"must be {str(context['expected']).replace(chr(39), chr(34))}"
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal" as kind:
            (bound,) = (context[name] for name in ("gt", "ge", "lt", "le") if name in context)
            text = f"must be {_BOUNDS[kind]} {bound}{like}"
        case "too_short" | "string_too_short":
            text = f"must not be empty{like}"
        case "too_long" | "string_too_long":
            text = f"must have {context['max_length']} at most{like}"
        case "string_pattern_mismatch":
            text = f"must have the form {context['pattern']}{like}"
        case kind:
            text = f"must be {_KINDS.get(kind, 'another kind of value')}{like}"
    return text


_BOUNDS = {
    "greater_than": "more than",
    "greater_than_equal": "at least",
    "less_than": "less than",
    "less_than_equal": "at most",
}
_KINDS = {
    "string_type": "text in quotes",
    "int_type": "a whole number without quotes",
    "int_from_float": "a whole number without quotes",
    "float_type": "a number without quotes",
    "finite_number": "a finite number",
    "bool_type": "true or false without quotes",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dataclass_type": "a table",
}


def _example(field: FieldInfo | None, key: str, lead: str = ", like ") -> str:
    if field is None:
        return ""
    if _table_in(field.annotation):
        return f"{lead}[{key}]"
    if field.examples:
        return f"{lead}{key} = {field.examples[0]}"
    default = field.get_default(call_default_factory=False)
    if isinstance(default, bool):
        return f"{lead}{key} = {str(default).lower()}"
    if isinstance(default, str | int | float):
        return f"{lead}{key} = {json.dumps(default, ensure_ascii=False)}"
    return f'{lead}{key} = "…"' if str in _members(field.annotation) else ""


def _find(model: type[BaseModel], loc: Path) -> tuple[type[BaseModel], FieldInfo | None, str]:
    """Follow a path into the models: the table it ends in, the field if that is known, the last key."""
    table: type[BaseModel] | None = model
    field: FieldInfo | None = None
    owner, key = model, ""
    for part in loc:
        if isinstance(part, int) or table is None:
            continue
        owner, key = table, part
        field = table.model_fields.get(part)
        table = _table_in(field.annotation) if field is not None else None
    return owner, field, key


def _table_in(annotation: object) -> type[BaseModel] | None:
    return next((each for each in _members(annotation) if isinstance(each, type) and issubclass(each, BaseModel)), None)


def _members(annotation: object) -> tuple[Any, ...]:
    """Take `X | None` and `Annotated[X, …]` apart."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        return tuple(member for each in get_args(annotation) for member in _members(each))
    return (annotation,)


def tables_of(model: type[BaseModel]) -> Mapping[str, type[BaseModel]]:
    """Give the tables directly inside a table, by key."""
    found = {key: _table_in(field.annotation) for key, field in model.model_fields.items()}
    return {key: table for key, table in found.items() if table is not None}
