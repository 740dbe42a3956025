"""`reconciler config`: check it, or show it as it takes effect."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

import typer

from reconciler.alerting import problems
from reconciler.cli.common import AsJson, Config, fail, path_of, print_json, read
from reconciler.databases import SERVERS
from reconciler.exit import Exit
from reconciler.settings.model import Settings
from reconciler.settings.problems import Problem
from reconciler.settings.show import as_dict, as_toml
from reconciler.shops.webhook.signing import SecretUnusable, signing_key

config = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
PINNED: Final = {"mysql": "requirements/mysql.txt", "postgresql": "requirements/postgres.txt"}
"""By the scheme of the URL: the file of the project that brings the driver, checked by hash."""


@config.command()
def check(*, config: Config = None) -> None:
    """Check the whole configuration, credentials, drivers and alert targets included; name every fault, and where."""
    settings = read(config)
    missing = [str(problem) for problem in (*_drivers(settings), *_webhook(settings), *problems(settings))]
    if missing:
        fail("\n".join(missing), Exit.CONFIGURATION)
    channels = ", ".join(settings.channels)
    print(f"{path_of(config)}: sound. mode {settings.mode}, channels {channels}")


def _drivers(settings: Settings) -> Iterator[Problem]:
    """Name each database whose driver is not installed: the file is sound, and the daemon would not start."""
    for path, url in (("shop.url", settings.shop.url), ("ledger.url", settings.ledger.url)):
        scheme = url.partition(":")[0]
        server = SERVERS.get(scheme)
        if server is not None and find_spec(server.driver) is None:
            text = f"{scheme}:// needs the driver {server.driver}, and it is not installed"
            remedy = f"pip install --no-deps --require-hashes -r {PINNED[scheme]} (or {server.package})"
            yield Problem(path, f"{text}; {remedy}")


def _webhook(settings: Settings) -> Iterator[Problem]:
    """Name a secret that nothing can be signed with: it was read, and the daemon would not start."""
    webhook = settings.settle.webhook
    if webhook is not None:
        try:
            signing_key(webhook.secret.reveal())
        except SecretUnusable as error:
            yield Problem("settle.webhook.secret", f"{webhook.secret} {error}")


@config.command()
def show(*, config: Config = None, json: AsJson = False) -> None:
    """Show the configuration as it takes effect, defaults filled in, secrets as references only."""
    settings = read(config)
    if json:
        print_json(as_dict(settings))
    else:
        print(as_toml(settings), end="")
