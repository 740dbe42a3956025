"""The value types of the configuration: durations, yuan, zones, paths, and the strict model they live in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, model_validator

from reconciler.domain.money import AmountError, Money
from reconciler.settings.secret import Secret, SecretError

__all__ = [
    "Duration",
    "Secret",
    "SecretError",
    "SocketPath",
    "Strict",
    "TimeZone",
    "Yuan",
    "between",
    "format_duration",
    "parse_duration",
    "parse_yuan",
]

SOCKET_PATH_BYTES_MAX = 107
"""sockaddr_un.sun_path holds 108 bytes with its NUL (unix(7))."""

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Strict(BaseModel):
    """A table of the configuration: frozen, an unknown key is an error, and "5" is no number.

    Arrays become tuples before their fields see them. An error of validation never shows the value: it may be a secret.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    @model_validator(mode="before")
    @classmethod
    def _arrays_are_tuples(cls, table: object) -> object:
        if not isinstance(table, Mapping):
            return table
        return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def parse_duration(value: object) -> timedelta:
    """Take `"30s"`, `"5m"`, `"2h"`, `"400d"` (and `"250ms"`)."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('is not a duration; write it like "30s", "5m", "2h" or "400d"')
    try:
        return timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError as error:
        raise ValueError("is longer than anybody will wait") from error


def format_duration(value: timedelta) -> str:
    """Write a duration as the configuration does, in the largest unit that fits; in days from the third on."""
    ms = value // timedelta(milliseconds=1)
    if value > timedelta(days=2) and value % timedelta(days=1) == timedelta(0):
        return f"{value.days}d"
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms" if ms else "0s"


def parse_yuan(value: object) -> Money:
    """Take an amount in yuan as text, `"5000.00"`: a TOML float has no exact cents."""
    if isinstance(value, Money):
        return value
    wrong = 'is not an amount; write yuan in quotes, with at most two decimals, like "5000.00"'
    if isinstance(value, float | bool) or not isinstance(value, str | int):
        raise ValueError(wrong)  # noqa: TRY004 # pydantic wants ValueError
    try:
        return Money.from_yuan(value)
    except AmountError as error:
        raise ValueError(wrong) from error


def between(low: timedelta, high: timedelta) -> AfterValidator:
    """Bound a duration, both ends included."""

    def check(value: timedelta) -> timedelta:
        if not low <= value <= high:
            raise ValueError(f'must be from "{format_duration(low)}" to "{format_duration(high)}"')
        return value

    return AfterValidator(check)


def _zone(value: object) -> ZoneInfo:
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(value if isinstance(value, str) else "")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError('is not a time zone this machine knows; write it like "Asia/Shanghai" or "UTC"') from error


def _socket_path(value: object) -> Path:
    path = Path(value) if isinstance(value, str | Path) and str(value).isprintable() else None
    if path is None or not path.is_absolute() or len(bytes(path)) > SOCKET_PATH_BYTES_MAX:
        raise ValueError('is not an absolute path of at most 107 bytes; write it like "/run/reconciler/control.sock"')
    return path


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
Yuan = Annotated[Money, BeforeValidator(parse_yuan), PlainSerializer(lambda money: str(money.yuan))]
TimeZone = Annotated[ZoneInfo, BeforeValidator(_zone), PlainSerializer(str)]
SocketPath = Annotated[Path, BeforeValidator(_socket_path), PlainSerializer(str)]
