"""The value types of the configuration: durations, yuan, secrets, and the strict model they live in."""

from __future__ import annotations

import os
import re
import stat
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema, core_schema

from reconciler.domain.money import Money

CREDENTIALS_DEFAULT = Path("/etc/reconciler/credentials")
SECRET_BYTES_MAX = 64 * 1024
_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_GROUP_OR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Strict(BaseModel):
    """A table of the configuration: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


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
    """Write a duration as the configuration does, in the largest unit that fits."""
    ms = value // timedelta(milliseconds=1)
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms and ms % size == 0:
            return f"{ms // size}{unit}"
    return f"{ms}ms" if ms else "0s"


def parse_yuan(value: object) -> Money:
    """Take an amount in yuan as text, `"5000.00"`: a TOML float has no exact cents."""
    if isinstance(value, Money):
        return value
    if isinstance(value, float | bool) or not isinstance(value, str | int):
        raise ValueError('is not an amount; write it in quotes, like "5000.00"')  # noqa: TRY004 # pydantic wants ValueError
    return Money.from_yuan(value)


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
Yuan = Annotated[Money, BeforeValidator(parse_yuan), PlainSerializer(lambda money: str(money.yuan))]


class SecretError(ValueError):
    """A credential that cannot be read; the text names it and the remedy, never its value."""


class Secret:
    """Where a secret is, and, once loaded, what it is. Printing one gives the reference only."""

    __slots__ = ("_value", "reference")

    def __init__(self, reference: str) -> None:
        scheme, _, name = reference.partition(":")
        if scheme not in {"credential", "file", "env"} or not name:
            raise ValueError('is not a reference; write "credential:NAME", "file:PATH" or "env:NAME", never the secret')
        if scheme == "credential" and ("/" in name or name in {".", ".."}):
            raise ValueError("names a credential with a path in it; use file:PATH for a path")
        self.reference = reference
        self._value: bytes | None = None

    @property
    def path(self) -> Path | None:
        """The file it lives in; None for an environment variable."""
        scheme, _, name = self.reference.partition(":")
        if scheme == "file":
            return Path(name)
        if scheme == "credential":
            return Path(os.environ.get("CREDENTIALS_DIRECTORY") or CREDENTIALS_DEFAULT) / name
        return None

    def load(self) -> None:
        """Read it, once. Raises SecretError."""
        if self._value is not None:
            return
        path = self.path
        if path is None:
            name = self.reference.partition(":")[2]
            value = os.environ.get(name)
            if value is None:
                raise SecretError(f"environment variable {name} is not set")
            self._value = value.strip().encode()
        else:
            self._value = _read(path)
        if not self._value:
            raise SecretError(f"{self.reference} is empty")

    def reveal(self) -> bytes:
        """Give the secret's bytes, without surrounding white space. Raises SecretError where it was never loaded."""
        self.load()
        assert self._value is not None  # noqa: S101 # load() set it or raised
        return self._value

    def is_exposed(self) -> bool:
        """Whether others than its owner may read the file (systemd's own credentials directory is never exposed)."""
        if self.path is None or (self.reference.startswith("credential:") and os.environ.get("CREDENTIALS_DIRECTORY")):
            return False
        return bool(self.path.stat().st_mode & _GROUP_OR_OTHERS & ~stat.S_IRGRP)

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    def __str__(self) -> str:
        return self.reference

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reference == self.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: type[Any], _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _secret, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


def _secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise ValueError('is not a reference; write "credential:NAME", "file:PATH" or "env:NAME"')  # noqa: TRY004 # pydantic wants ValueError
    return Secret(value)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            value = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise SecretError(f"{path}: {error.strerror}") from error
    if len(value) > SECRET_BYTES_MAX:
        raise SecretError(f"{path} is larger than {SECRET_BYTES_MAX} bytes")
    return value.strip()
