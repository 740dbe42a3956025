"""`reconciler config`: check it, or show it as it takes effect."""

from __future__ import annotations

import typer

from reconciler.cli.common import AsJson, Config, path_of, print_json, read
from reconciler.settings.show import as_dict, as_toml

config = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@config.command()
def check(*, config: Config = None) -> None:
    """Check the whole configuration, credentials included; name every fault, and where."""
    settings = read(config)
    channels = ", ".join(settings.channels)
    print(f"{path_of(config)}: sound. mode {settings.mode}, channels {channels}")
    for key in settings.without_effect():
        print(f"At {key}: has no effect in this version yet")


@config.command()
def show(*, config: Config = None, json: AsJson = False) -> None:
    """Show the configuration as it takes effect, defaults filled in, secrets as references only."""
    settings = read(config)
    if json:
        print_json(as_dict(settings))
    else:
        print(as_toml(settings), end="")
