"""`reconciler pause` and `reconciler resume`: settling as a whole, and channels one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import typer

from reconciler.cli.common import AsJson, Config, at, fail, print_json, read, say
from reconciler.cli.leader import have_done
from reconciler.exit import Exit
from reconciler.settings.model import Settings

ANSWER_WITHIN_S = 60.0

Channel = Annotated[list[str] | None, typer.Option("--channel", metavar="NAME", help="This channel; may be repeated.")]
Settling = Annotated[bool, typer.Option("--settling", help="Settling, of every channel's orders.")]


def pause(*, channel: Channel = None, settling: Settling = False, config: Config = None, json: AsJson = False) -> None:
    """Stop settling, or asking a channel, until `reconciler resume`; with neither option: settling and every channel.

    What was found paid is kept, and settled after resuming. It survives restarts; who and when is in the ledger.
    """
    _switch("pause", channel, settling=settling, settings=read(config), json=json)


def resume(*, channel: Channel = None, settling: Settling = False, config: Config = None, json: AsJson = False) -> None:
    """Go on with settling (after the brake, too), or with a channel; with neither option: with everything paused.

    What was kept is asked about again, and settled on the new answer.
    """
    _switch("resume", channel, settling=settling, settings=read(config), json=json)


def _switch(
    way: Literal["pause", "resume"], channel: list[str] | None, *, settling: bool, settings: Settings, json: bool
) -> None:
    names = channel or []
    if unknown := [name for name in names if name not in settings.channels]:
        known = ", ".join(settings.channels)
        fail(f"There is no channel {', '.join(unknown)}; there are: {known}", Exit.CONFIGURATION)
    if not (names or settling):
        names, settling = list(settings.channels), True
    (answer,) = have_done(settings, way, [{"settling": settling, "channels": names}], ANSWER_WITHIN_S)
    switched: Sequence[Mapping[str, Any]] = answer["switched"]
    if json:
        print_json(switched)
        return
    for each in switched:
        say(_in_words(each))


def _in_words(switched: Mapping[str, Any]) -> str:
    what = str(switched["what"])
    since = f"since {at(datetime.fromisoformat(switched['since']))} by {switched['by']}" if switched["since"] else ""
    match switched["paused"], switched["changed"]:
        case True, True:
            return f"{what} is paused now; `reconciler resume --{what}` ends it, `reconciler resume` every pause"
        case True, False:
            return f"{what} has been paused {since}: {switched['why']}"
        case False, True:
            return f"{what} goes on; it was paused {since}: {switched['why']}"
        case _:
            return f"{what} was not paused"
