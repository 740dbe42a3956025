"""Every command that can be typed, and what the page of commands says of its JSON."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any, Final

import typer.main

from reconciler.cli import COMMANDS
from tests.unit.docs.book import Book

PAGE: Final = "docs/reference/commands.md"


def typed() -> Mapping[str, Any]:
    """Give every command by its words."""
    found = {}
    for name in COMMANDS:
        command = getattr(importlib.import_module(f"reconciler.cli.{name}"), name)
        if not isinstance(command, typer.Typer):
            app = typer.Typer()
            app.command()(command)
            found[name] = typer.main.get_command(app)
            continue
        group: Any = typer.main.get_command(command)
        if group.invoke_without_command:
            found[name] = group
        found |= {f"{name} {word}": sub for word, sub in group.commands.items()}
    return found


def options_of(command: Any) -> set[str]:  # noqa: ANN401 # typer brings a click of its own
    """Give its options, but for those that every command has."""
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    return options - {"--help", "--install-completion", "--show-completion"}


def with_json() -> set[str]:
    """Name the commands that print JSON if they are told to."""
    return {words for words, command in typed().items() if "--json" in options_of(command)}


ALIASES: Final = {"cases": "cases list"}
"""Commands that print what another does."""


def documented(book: Book, words: str) -> Mapping[str, str]:
    """Give the fields of a command's JSON in the page's order, each with what the page says of it."""
    section = book.sections(PAGE)[f"reconciler {ALIASES.get(words, words)}"]
    return dict(re.findall(r"^\| `([\w.\[\]]+)` \| (.+) \|$", section, re.MULTILINE))
