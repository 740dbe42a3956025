"""Secrets: a reference in the file, a value from systemd's credentials, a file or the environment."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

CREDENTIALS_DEFAULT = Path("/etc/reconciler/credentials")
SECRET_BYTES_MAX = 64 * 1024
NOT_A_REFERENCE = (
    'is not a reference to a secret; write "credential:NAME", "file:PATH" or "env:NAME", never the secret itself'
)
_REFERENCES = {
    "credential": re.compile(r"[A-Za-z0-9_.@-]{1,64}"),
    "file": re.compile(r"[^\x00-\x1f\x7f]{1,1024}"),
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}"),
}
_GROUP_OR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SecretError(ValueError):
    """A credential that cannot be read; the text names it and the remedy, never its value."""


class Secret:
    """Where a secret is, and, once loaded, what it is. Printing one gives the reference only."""

    __slots__ = ("_mode", "_value", "reference")

    def __init__(self, reference: str) -> None:
        scheme, _, name = reference.partition(":")
        pattern = _REFERENCES.get(scheme)
        # What is refused is not printed: a pasted key looks like a bad reference.
        if pattern is None or pattern.fullmatch(name) is None or name in {".", ".."}:
            raise ValueError(NOT_A_REFERENCE)
        self.reference = reference
        self._value: bytes | None = None
        self._mode: int | None = None

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
            value, mode = _read_variable(self.reference.partition(":")[2]), None
        else:
            value, mode = _read(path)
        if not value:
            raise SecretError(f"{path or self.reference} is empty; put the secret into it")
        self._value, self._mode = value, mode

    def reveal(self) -> bytes:
        """Give the secret's bytes, without surrounding white space. Raises SecretError where it was never loaded."""
        self.load()
        assert self._value is not None  # noqa: S101 # load() set it or raised
        return self._value

    def is_exposed(self) -> bool:
        """Whether others than owner and group may use the file, or the group may write it. Raises SecretError.

        systemd's own credentials directory is never exposed.
        """
        if self.reference.startswith("credential:") and os.environ.get("CREDENTIALS_DIRECTORY"):
            return False
        self.load()
        return self._mode is not None and bool(self._mode & _GROUP_OR_OTHERS & ~stat.S_IRGRP)

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
        raise ValueError(NOT_A_REFERENCE)  # noqa: TRY004 # pydantic wants ValueError
    return Secret(value)


def _read_variable(name: str) -> bytes:
    value = os.environ.get(name)
    if value is None:
        raise SecretError(f"environment variable {name} is not set")
    return os.fsencode(value).strip()


def _read(path: Path) -> tuple[bytes, int]:
    try:
        # O_NONBLOCK: a pipe without a writer must not hold up the start.
        with open(
            path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)
        ) as file:  # Path.open has no opener
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SecretError(f"{path} is not a regular file")
            value = file.read(SECRET_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise SecretError(f"there is no {path}; put the secret there, in a file of mode 0600") from error
    except OSError as error:
        raise SecretError(f"{path} cannot be read: {error.strerror}") from error
    if len(value) > SECRET_BYTES_MAX:
        raise SecretError(f"{path} is larger than {SECRET_BYTES_MAX} bytes")
    return value.strip(), status.st_mode
