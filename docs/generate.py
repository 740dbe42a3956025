"""Write what comes from the code: the pages events.md, settings.md and metrics.md, and journald's catalogue.

What a person wrote of them is in parts/.

From the project's root: `.venv/bin/python docs/generate.py`. A test fails while a page is stale.
"""  # noqa: INP001 # a script, and no package

from __future__ import annotations

import dataclasses
import sys
import textwrap
import tomllib
import types
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from prometheus_client import Metric
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName
from reconciler.events import CATALOGUE, Event
from reconciler.gateways import SETTINGS
from reconciler.ops.journald import IDENTIFIER, field_name
from reconciler.ops.metrics import Metrics
from reconciler.settings.channel import ChannelSettings, Endpoint
from reconciler.settings.columns import Condition, Name, Value
from reconciler.settings.model import Settings
from reconciler.settings.secret import Secret
from reconciler.settings.types import SocketPath, format_duration
from reconciler.settings.urls import Address, DatabaseUrl, WebUrl

DOCS = Path(__file__).parent
JOURNALD = DOCS.parent / "config" / "journald" / "reconciler.catalog"
RENEW = "From the project's root: `.venv/bin/python docs/generate.py`."
CHINESE = DOCS / "parts" / "events.zh_CN.toml"
USES = DOCS / "parts" / "metrics.toml"
CHANNEL = "alipay-main"
LINES = DOCS / "parts" / "settings.toml"
"""One line on each setting; what the models say (type, default, effect) is not repeated there."""

_MARKED = {
    DatabaseUrl: "database URL",
    WebUrl: "URL",
    Endpoint: "URL",
    Name: "name",
    Condition: "SQL condition",
    Value: "value",
}
"""Texts of a special kind, known by what validates them."""
CATALOGUE_WIDTH = 76
_OPEN_TO_US = {
    "channel": "the channels of the configuration",
    "event": "every name of [Events](events.md)",
    "version": "of the program",
    "mode": "`observe` or `enforce`",
}
"""Labels whose values are not worth a list, or are not the same everywhere."""
_TELLS_MORE = {"order_no": "reconciler explain", "case_id": "reconciler cases show"}
_WORDS: Mapping[object, str] = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    timedelta: "duration",
    Money: "yuan, as text",
    Secret: "secret",
    ZoneInfo: "time zone",
    get_args(SocketPath)[0]: "path",
    Address: "host:port",
}
_FIELD_WORDS: Mapping[object, str] = {
    str: "text",
    int: "number",
    bool: "true or false",
    datetime: "time",
    timedelta: "length of time",
    Money: "amount",
}


def pages() -> dict[Path, str]:
    """Give every generated file with its text."""
    return {
        DOCS / "reference" / "events.md": events(),
        DOCS / "reference" / "settings.md": settings(),
        DOCS / "reference" / "metrics.md": metrics(),
        JOURNALD: catalogue(),
    }


# --------------------------------------------------------------------------------------------------------------- events


def events() -> str:
    """Write the page of all events, by name."""
    head = (DOCS / "parts" / "events.md").read_text()
    named = sorted(CATALOGUE.items())
    lines = ["| event | severity |", "|---|---|"]
    lines += [f"| [`{name}`](#{name.replace('.', '')}) | {kind.severity.name.lower()} |" for name, kind in named]
    for name, kind in named:
        lines += ["", *_event(name, kind)]
    return _page(head, lines)


def _event(name: str, kind: type[Event]) -> Iterator[str]:
    yield f"## {name}"
    yield ""
    yield f"{kind.meaning}"
    yield ""
    yield f"- **What to do:** {kind.advice}"
    yield f"- **Severity:** {kind.severity.name.lower()} (PRIORITY={int(kind.severity)})"
    hints = get_type_hints(kind)
    fields = [f"`{field.name}` ({_field_words(hints[field.name])})" for field in dataclasses.fields(kind)]  # type: ignore[arg-type] # every event is a dataclass
    yield f"- **Fields:** {', '.join(fields)}"
    yield f"- **MESSAGE_ID:** `{kind.message_id}`"


def _field_words(hint: object) -> str:
    if isinstance(hint, types.UnionType):
        (only,) = (part for part in hint.__args__ if part is not types.NoneType)
        return f"{_FIELD_WORDS[only]}, not always"
    return _FIELD_WORDS[hint]


def catalogue() -> str:
    """Write what `journalctl -x` says below a line: its event's meaning, what to do, and a command that tells more."""
    head = [
        "# What journalctl -x says of each event; docs/how-to/install-as-a-service.md puts it in place.",
        f"# Generated. {RENEW}",
    ]
    chinese = tomllib.loads(CHINESE.read_text())
    entries: list[str] = []
    for name, kind in sorted(CATALOGUE.items()):
        english = [textwrap.wrap(text, CATALOGUE_WIDTH) for text in (kind.meaning, f"What to do: {kind.advice}")]
        entries += _catalogue_entry(kind, "", english)
        entries += _catalogue_entry(
            kind, " zh_CN", [[chinese[name]["meaning"]], [f"怎么办：{chinese[name]['advice']}"]]
        )
    return "\n".join([*head, *entries]) + "\n"


def _catalogue_entry(kind: type[Event], language: str, paragraphs: list[list[str]]) -> Iterator[str]:
    yield from ("", f"-- {kind.message_id}{language}", f"Subject: {kind.name}", f"Defined-By: {IDENTIFIER}")
    for paragraph in paragraphs:
        yield from ("", *paragraph)
    # journalctl writes the line's own values in; where a line may have none, the bare name would stand there.
    always = {name for name, hint in get_type_hints(kind).items() if hint in {str, int}}
    commands = [f"    {words} @{field_name(field)}@" for field, words in _TELLS_MORE.items() if field in always]
    yield from ("", *commands) if commands else ()


# ------------------------------------------------------------------------------------------------------------- settings


def settings() -> str:
    """Write the page of all settings, table by table, in the models' order."""
    head = (DOCS / "parts" / "settings.md").read_text()
    lines: list[str] = []
    for path, model, about in tables():
        lines += ["", f"## {about}", "", f"{_about(model)}", "", "| key | type | default | |", "|---|---|---|---|"]
        own = keys_of(model, path)
        lines += [_row(path, key, field) for key, field in own.items()]
    return _page(head, lines[1:])


def tables() -> Iterator[tuple[str, type[BaseModel], str]]:
    """Give each table of the configuration: the path its lines are kept under, its model, its heading."""
    yield from _tables("", Settings)
    yield "channels", ChannelSettings, "`[channels.NAME]`, every gateway"
    for kind, model in SETTINGS.items():
        yield kind, model, f'`[channels.NAME]`, `gateway = "{kind}"`'


def keys_of(model: type[BaseModel], path: str) -> Mapping[str, FieldInfo]:
    """Give a table's own keys: a gateway's without those that every channel has, and no tables."""
    common = ChannelSettings.model_fields if path in SETTINGS else {}
    fields = {key: field for key, field in model.model_fields.items() if key not in common or key == "endpoint"}
    if path == "channels":
        del fields["endpoint"]
    return {key: field for key, field in fields.items() if _nested(field) is None and (path or key != "channels")}


def lines() -> Mapping[str, str]:
    """Read the one line on each setting, by its path."""
    return dict(_flat("", tomllib.loads(LINES.read_text())))


def _flat(path: str, table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(_join(path, key), value)
        else:
            yield _join(path, key), value


def _tables(path: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel], str]]:
    yield path, model, f"`[{path}]`" if path else "The top of the file"
    for key, field in model.model_fields.items():
        if (nested := _nested(field)) is not None:
            yield from _tables(_join(path, key), nested)


def _nested(field: FieldInfo) -> type[BaseModel] | None:
    parts = get_args(field.annotation) or (field.annotation,)
    return next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), None)


def _about(model: type[BaseModel]) -> str:
    text = (model.__doc__ or "").strip()
    bare = text.partition("`: ")[2] or text
    return bare[:1].upper() + bare[1:]


def _row(path: str, key: str, field: FieldInfo) -> str:
    text = lines()[_join(path, key)]
    return f"| `{key}` | {_type(field.annotation, field.metadata)} | {_default(field)} | {text} |"


def _type(annotation: Any, metadata: list[Any] | None = None) -> str:  # noqa: ANN401 # whatever a model may hold
    marked = next((word for alias, word in _MARKED.items() for mark in metadata or () if mark in get_args(alias)), None)
    origin, parts = get_origin(annotation), get_args(annotation)
    if marked is not None:
        return marked
    if origin is Literal:
        return " or ".join(f'`"{part}"`' for part in parts)
    if origin in {Union, types.UnionType}:
        words = [_type(part) for part in parts if part is not types.NoneType]
        return " or ".join(dict.fromkeys(words))
    if origin is tuple:
        return f"list of {_type(parts[0])}s"
    if origin is not None and issubclass(origin if isinstance(origin, type) else object, Mapping):
        return f"table of {_plural(_type(parts[1]))}"
    if hasattr(annotation, "__metadata__"):
        return _type(annotation.__origin__, list(annotation.__metadata__))
    return _WORDS[annotation]


def _plural(word: str) -> str:
    return f"lists{word.removeprefix('list')}" if word.startswith("list of ") else f"{word}s"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    return "" if value is None else f"`{_toml(value)}`"


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return f"{value:g}"
        case timedelta():
            return f'"{format_duration(value)}"'
        case Money():
            return f'"{value.yuan}"'
        case tuple():
            return f"[{', '.join(_toml(each) for each in value)}]"
        case dict():
            return "{}"
        case _:
            return f'"{value}"'


# -------------------------------------------------------------------------------------------------------------- metrics


def metrics() -> str:
    """Write the page of all metrics, in the registry's order."""
    head = (DOCS / "parts" / "metrics.md").read_text()
    lines = ["| metric | type | labels |", "|---|---|---|"]
    families = figures()
    lines += [
        f"| [`{_shown(each)}`](#{each.name}) | {each.type} | {', '.join(f'`{label}`' for label in _labels(each))} |"
        for each in families
    ]
    for each in families:
        lines += ["", f"## {each.name}", "", each.documentation, "", f"- **Use:** {uses()[each.name]}"]
        lines += [f"- **Series:** `{_shown(each)}`, {each.type}{_buckets(each)}"]
        lines += [f"- **`{label}`:** {_values(label, found)}" for label, found in _labels(each).items()]
    return _page(head, lines)


def figures() -> list[Metric]:
    """Give our own metrics, as a daemon with one channel and one processing limit has them when it starts."""
    metrics = Metrics(version="0.1.0", mode="observe", channels=[ChannelName(CHANNEL)])
    metrics.orders.stalled({"2": 0})
    return [family for family in metrics.registry.collect() if family.name.startswith("reconciler_")]


def uses() -> Mapping[str, str]:
    """Read the one line on each metric, by its name."""
    return tomllib.loads(USES.read_text())


def _shown(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _labels(family: Metric) -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = {}
    for sample in family.samples:
        for label, value in sample.labels.items():
            found.setdefault(label, set()).add(value)
    return {label: values for label, values in found.items() if label != "le"}


def _values(label: str, found: set[str]) -> str:
    return _OPEN_TO_US.get(label) or ", ".join(f"`{value}`" for value in sorted(found))


def _buckets(family: Metric) -> str:
    if family.type != "histogram":
        return ""
    bounds = dict.fromkeys(sample.labels["le"] for sample in family.samples if "le" in sample.labels)
    return f" (`_bucket`, `_sum`, `_count`) with buckets up to {', '.join(bounds)}"


# -------------------------------------------------------------------------------------------------------------- both


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _page(head: str, body: list[str]) -> str:
    note = f"<!-- Generated. {RENEW} -->"
    return "\n".join([note, head.strip(), "", *body]) + "\n"


def main() -> None:
    """Write the pages that have changed, and name them."""
    for path, text in pages().items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            sys.stdout.write(f"written: {path}\n")


if __name__ == "__main__":
    main()
