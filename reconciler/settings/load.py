"""Read a configuration: three passes, every fault of each in one run."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from reconciler.settings.channel import ChannelSettings
from reconciler.settings.credentials import credential_problems
from reconciler.settings.draft import understand
from reconciler.settings.model import Mode, Settings
from reconciler.settings.preset import with_preset
from reconciler.settings.problems import ConfigurationError, Problem
from reconciler.settings.rules import rule_problems

FILE_BYTES_MAX = 1024 * 1024
_DAY = timedelta(days=1)

Gateways = Mapping[str, type[ChannelSettings]]


def load(path: Path, gateways: Gateways, *, mode: Mode | None = None, asks: bool = True) -> Settings:
    """Read and check a file; `mode` overrides the file's. Raises ConfigurationError with all that is wrong.

    Whoever asks no gateway (`asks=False`) is not kept away by a key that is of no use: it is read, but not tried.
    """
    return check(_toml(_text(path), str(path)), gateways, mode=mode, asks=asks)


def parse(text: str, gateways: Gateways, *, mode: Mode | None = None, source: str = "configuration") -> Settings:
    """Check a text, credentials included. Raises ConfigurationError with all that is wrong."""
    return check(_toml(text, source), gateways, mode=mode)


def check(raw: Mapping[str, object], gateways: Gateways, *, mode: Mode | None = None, asks: bool = True) -> Settings:
    """Check a file's tables, credentials included. Raises ConfigurationError with all that is wrong."""
    tables, unknown = with_preset(raw if mode is None else {**raw, "mode": mode})
    draft = understand(tables, gateways)
    draft.problems.extend(unknown)
    passes = (draft.problems, rule_problems(draft), credential_problems(draft, asks=asks))
    problems = [problem for each in passes for problem in sorted(set(each))]
    settings = draft.tables.get(())
    if problems or not isinstance(settings, Settings):
        raise ConfigurationError(problems)
    return _with_window(settings)


def _with_window(settings: Settings) -> Settings:
    """Let the window reach past the last age where the file gives none."""
    if "window" in settings.find.model_fields_set:
        return settings
    window = max(settings.find.window, settings.ask.ages[-1] + _DAY)
    find = settings.find.model_copy(update={"window": window})
    return settings.model_copy(update={"find": find})


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        remedy = "copy config/reconciler.toml there, or name another with --config"
        raise _unreadable(path, f"there is no such file; {remedy}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise _unreadable(path, f"cannot be read ({reason}); the user that runs this must be able to") from error
    if len(content) > FILE_BYTES_MAX:
        raise _unreadable(path, f"is larger than {FILE_BYTES_MAX} bytes; that is no configuration")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unreadable(path, f"is not UTF-8 (line {line}); save it as UTF-8") from error


def _toml(text: str, source: str) -> dict[str, object]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([Problem(source, f"is not TOML: {error}")]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError([Problem(source, "is not TOML: a number too long, or brackets too deep")]) from error


def _unreadable(path: Path, text: str) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), text)])
