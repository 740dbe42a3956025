"""`reconciler init`: a first configuration from the shop's schema."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import typer

from reconciler.cli.common import Config, fail, finish, path_of, say
from reconciler.databases import Access
from reconciler.exit import Exit
from reconciler.gateways import SETTINGS
from reconciler.ops.clock import SystemClock
from reconciler.ports import ShopUnavailable
from reconciler.settings.load import parse
from reconciler.settings.problems import ConfigurationError, Problem
from reconciler.settings.secret import Secret, SecretError
from reconciler.settings.urls import password_in
from reconciler.shops.sql.inspection import inspecting
from reconciler.shops.sql.mapping import MappingError
from reconciler.starting import NotGuessed, Proposal, Reached, first_configuration, propose, survey

ZONE = ZoneInfo("Asia/Shanghai")
TlsMode = Literal["verify", "off"]
PASSWORD = "credential:shop-db-password"  # noqa: S105 # where it is, not what


def init(
    *,
    url: Annotated[str | None, typer.Option(help="The shop's database, like mysql://reader@127.0.0.1/shop.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="A file with the password of the database's user.")] = None,
    tls: Annotated[
        TlsMode | None,
        typer.Option(help="Without it: verify for other hosts, off for a loopback address or a socket."),
    ] = None,
    tls_ca: Annotated[
        Path | None, typer.Option(help="The certificate authority of the database server, where the system has it not.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    config: Config = None,
) -> None:
    """Read the shop's schema, guess a mapping, and write a first configuration in mode observe, guesses marked.

    Nothing is written to the shop.
    """
    path = path_of(config)
    if path.exists() and not force:
        fail(f"{path} is there already; name another with --config, or overwrite it with --force", Exit.CONFIGURATION)
    if url is None:
        url = _asked("The shop's database (like mysql://reader@127.0.0.1:3306/shop)", "--url")
        password_file = password_file or _asked_file()
    if password_in(url) is not None:
        fail("The URL carries a password; put it into a file of mode 0600, and name that with --password-file",
             Exit.CONFIGURATION)  # fmt: skip
    if tls == "off" and tls_ca is not None:
        fail("--tls-ca is of no use with --tls off; leave one of them out", Exit.CONFIGURATION)
    reached = Reached(url, _reference(password_file), tls, _reference(tls_ca))
    proposal = finish(_read(reached))
    text = first_configuration(proposal, reached)
    left = _left(text)
    _write(path, text, force=force)
    _show(path, proposal, left)


def _asked(question: str, option: str) -> str:
    if not sys.stdin.isatty():
        fail(f"{option} is missing, and there is no terminal to ask on", Exit.CONFIGURATION)
    answer: str = typer.prompt(question)
    return answer


def _asked_file() -> Path | None:
    answer: str = typer.prompt("A file with its password (none: just Enter)", default="", show_default=False)
    return Path(answer) if answer else None


def _reference(file: Path | None) -> str | None:
    return f"file:{file.absolute()}" if file is not None else None


def _revealed(reference: str | None, option: str) -> bytes | None:
    try:
        return Secret(reference).reveal() if reference is not None else None
    except (SecretError, ValueError) as error:
        fail(f"{option}: {error}", Exit.CONFIGURATION)


async def _read(reached: Reached) -> Proposal:
    password, tls_ca = _revealed(reached.password, "--password-file"), _revealed(reached.tls_ca, "--tls-ca")
    access = Access(reached.url, password, reached.tls, tls_ca, "--url", zone=ZONE, now=SystemClock().now())
    try:
        async with inspecting(access) as inspection:
            return propose(await survey(inspection))
    except MappingError as error:
        fail("\n".join(error.problems).replace("--url.tls_ca:", "--tls-ca:"), Exit.CONFIGURATION)
    except ShopUnavailable as error:
        without = " (no --password-file was given)" if password is None and "password" in str(error) else ""
        fail(f"{error}{without}", Exit.UNFINISHED)
    except NotGuessed as error:
        by_hand = "Copy config/reconciler.toml, and map the shop by hand (docs/how-to/map-your-shop.md)"
        fail(f"{error}. Only tables that this user may read are seen. {by_hand}", Exit.UNFINISHED)


def _left(text: str) -> tuple[Problem, ...]:
    """Give what the configuration's own check says of the file: the credentials that it names, and no more."""
    try:
        parse(text, SETTINGS)
    except ConfigurationError as error:
        return error.problems
    return ()


def _write(path: Path, text: str, *, force: bool) -> None:
    """Write it for its owner alone; a file that is there is replaced whole, or left as it is."""
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        target = beside if force else path
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL) | os.O_NOFOLLOW
        with os.fdopen(os.open(target, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        if force:
            beside.replace(path)
    except FileExistsError:
        fail(f"{path} is there already; overwrite it with --force", Exit.CONFIGURATION)
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}", Exit.UNFINISHED)


def _show(path: Path, proposal: Proposal, left: tuple[Problem, ...]) -> None:
    say(f'{path}: written, mode observe. Everything in it marked "guess" is one.')
    what = f"preset {proposal.preset}" if proposal.preset else f"table {proposal.table}"
    say(f"  {what}: {proposal.because}")
    say(f"  channels: {', '.join(proposal.channels)}" + (", each asked" if proposal.asks_all else ""))
    if proposal.strangers:
        say(f"  not recognised as a channel's: {', '.join(proposal.strangers)}")
    if proposal.attempts is not None:
        number = proposal.attempts.out_trade_no
        say(f"  {proposal.attempts.table} looks like attempts: is {number} what the gateway knows?")
    for problem in left:
        say(f"  to do: {problem}")
    say(f"Next: correct the guesses in it, then `reconciler config check` and `reconciler doctor` with --config {path}")
