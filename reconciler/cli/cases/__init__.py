"""`reconciler cases`: the questions that need a person."""

from __future__ import annotations

import typer

from reconciler.cli.cases.handling import approve, reopen, resolve, snooze
from reconciler.cli.cases.listing import list_, show
from reconciler.cli.common import AsJson, Config

__all__ = ["cases"]

cases = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@cases.callback()
def cases_(context: typer.Context, *, config: Config = None, json: AsJson = False) -> None:
    """List the open cases; `show ID` has one with its facts."""
    if context.invoked_subcommand is None:
        list_(config=config, json=json)


cases.command("list")(list_)
for command in (show, approve, resolve, reopen, snooze):
    cases.command()(command)
