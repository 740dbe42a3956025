"""The command line: one module per command, imported only when it is called for."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Annotated

import typer

from reconciler import __version__

INTERRUPTED = 130
"""128 and SIGINT, as shells have it."""
COMMANDS = {
    "run": "Run the daemon, or one pass of it (--once).",
    "doctor": "Say of everything whether it is in place, with the remedy where it is not.",
    "init": "Read a shop's schema and write a first configuration, guesses marked.",
    "ask": "Ask now about one order, theirs and ours side by side.",
    "explain": "Tell one order's whole story, and what comes next.",
    "cases": "List, show and handle the questions that need a person.",
    "pause": "Stop settling, or asking a channel, by hand.",
    "resume": "Go on with what was paused, by hand or by the brake.",
    "status": "Say what is watched, due, paused, open, and who leads.",
    "ledger": "Verify the ledger, or export from it.",
    "alerts": "Try the targets that are told of cases and troubles.",
    "config": "Check the configuration, or show it as it takes effect.",
    "sandbox": "Run gateways and a shop to develop against.",
    "demo": "See the whole thing here, in half a minute.",
}
"""Every command and its line of help. A command lives in the module of its name (`config_` where Python has it)."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    chosen = next((argument for argument in given if not argument.startswith("-")), None)
    try:
        _app(chosen)(given, prog_name="reconciler")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`): no traceback, and no second try at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(INTERRUPTED)
    except Exception as fault:  # noqa: BLE001 # a traceback of Python's own could quote a secret
        importlib.import_module("reconciler.cli.common").broken(fault)


def _loaded(name: str) -> ModuleType:
    """Import a command's module, and with it most of the program."""
    gc.disable()  # nothing of it becomes garbage: to look for some takes a tenth of a command's time
    try:
        return importlib.import_module(f"reconciler.cli.{name}")
    finally:
        gc.freeze()
        gc.enable()


def _app(chosen: str | None) -> typer.Typer:
    app = typer.Typer(
        name="reconciler",
        help="Finds orders that were paid but never confirmed, and moves them forward exactly once.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback(invoke_without_command=True)(_root)
    for name, line in COMMANDS.items():
        if name != chosen:
            app.command(name, help=line)(_elsewhere)
            continue
        command = getattr(_loaded(name), name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, help=line)
        else:
            app.command(name, help=line)(command)
    return app


def _root(
    *,
    version: Annotated[bool, typer.Option("--version", help="Say the version and end.", is_eager=True)] = False,
) -> None:
    """Take what stands before the command."""
    if version:
        print(f"reconciler {__version__}")
        raise typer.Exit


def _elsewhere() -> None:
    """Stand in the list of commands for one whose module was not called for."""
