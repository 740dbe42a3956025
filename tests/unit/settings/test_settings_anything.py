from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.settings import ChannelSettings, ConfigurationError, as_toml, parse
from reconciler.settings.load import check
from reconciler.settings.model import Settings
from reconciler.settings.problems import tables_of

Gateways = Mapping[str, type[ChannelSettings]]

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.sampled_from(
        ["credential:x", "env:APPLE_KEY", "mysql://h/d", "5m", "127.0.0.1:1", "webhook", "enforce", "all"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def paths_of(raw: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = raw.items() if isinstance(raw, dict) else ()
    return [path, *(found for key, value in inner for found in paths_of(value, (*path, key)))]


MODEL_PATHS = [(key, name) for key, table in tables_of(Settings).items() for name in table.model_fields]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_anything_anywhere_is_settings_or_a_configuration_error(
    base: str, gateways: Gateways, data: st.DataObject
) -> None:
    raw = tomllib.loads(base)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([*paths_of(raw)[1:], *MODEL_PATHS]))
        value = data.draw(VALUES)
        table = raw
        for part in path[:-1]:
            inner = table.get(part)
            if not isinstance(inner, dict):
                inner = table[part] = {}
            table = inner
        if value is None:
            table.pop(path[-1], None)
        else:
            table[path[-1]] = without_none(value)
    try:
        understood = check(raw, gateways)
    except ConfigurationError as error:
        said = str(error)
    else:
        said = "At home"
        assert parse(as_toml(understood), gateways).model_dump() == understood.model_dump()
    assert all(line.startswith("At ") for line in said.split("\n"))
    assert not re.search(r"nput should|alid (string|integer)|pydantic|Traceback", said)


def without_none(value: object) -> object:
    """Take what no TOML can hold out of a value."""
    if isinstance(value, dict):
        return {key: without_none(each) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [without_none(each) for each in value if each is not None]
    return value


def test_a_date_is_no_text(base: str, gateways: Gateways) -> None:
    with pytest.raises(ConfigurationError, match=r"At shop.orders.table: is not a name"):
        parse(base.replace('table = "orders"', f"table = {date(2026, 1, 1)}"), gateways)
