"""`reconciler status`: what is watched, due, paused and open, and who leads."""

from __future__ import annotations

import json as json_module
from collections import Counter
from datetime import UTC, datetime

from reconciler.cli.common import AsJson, Config, at, finish, iso, length, print_json, read, reading
from reconciler.control import socket_path
from reconciler.ops.control_client import ControlError, call
from reconciler.settings.model import Settings

ANSWER_WITHIN_S = 5.0


def status(*, config: Config = None, json: AsJson = False) -> None:
    """Say what is watched, due and paused, which cases are open, who leads, and when things were last done."""
    settings = read(config)
    known = finish(_gather(settings))
    if json:
        print_json(known)
    else:
        _show(known)


async def _gather(settings: Settings) -> dict[str, object]:
    """Read the ledger, and ask the leader, if one answers. The keys are documented in docs/reference/commands.md."""
    ledger = await reading(settings)
    now = datetime.now(UTC)
    try:
        counts = await ledger.counts(now)
        cases = await ledger.cases()
        leader = await ledger.mark("leader")
        paused = {name: await ledger.mark(f"channel.paused.{name}") for name in settings.channels}
        in_doubt = {name: await ledger.mark(f"channel.in_doubt.{name}") for name in settings.channels}
        walked = await ledger.mark("find.walked")
        entry, digest = await ledger.head()
        settling = len(await ledger.open_intentions())
    finally:
        await ledger.close()
    return {
        "daemon": _ask_the_leader(settings),
        "leader": json_module.loads(leader) if leader else None,
        "watches": {
            "open": counts.open,
            "due": counts.due,
            "ended": counts.ended,
            "oldest_due_at": iso(counts.oldest_due_at),
        },
        "cases": dict(Counter(case.kind.value for case in cases)),
        "open_intentions": settling,
        "paused": {name: json_module.loads(why) for name, why in paused.items() if why},
        "in_doubt": {name: since for name, since in in_doubt.items() if since},
        "walked_at": walked,
        "ledger": {"entries": entry, "head": digest},
    }


def _ask_the_leader(settings: Settings) -> dict[str, object] | None:
    try:
        return call(socket_path(settings), "status", {}, ANSWER_WITHIN_S)
    except ControlError:
        return None


def _show(known: dict[str, object]) -> None:
    daemon, leader, watches = known["daemon"], known["leader"], known["watches"]
    cases, paused, in_doubt, ledger = known["cases"], known["paused"], known["in_doubt"], known["ledger"]
    assert isinstance(watches, dict) and isinstance(cases, dict) and isinstance(ledger, dict)  # noqa: S101, PT018 # made above
    assert isinstance(paused, dict) and isinstance(in_doubt, dict)  # noqa: S101, PT018 # made above
    if isinstance(daemon, dict):
        print(f"leader    {daemon['who']}, mode {daemon['mode']}, answering")
        print(f"          found {_ago(daemon['found_at'])}, asked {_ago(daemon['asked_at'])}")
        for trouble in daemon["troubles"]:
            print(f"          in trouble: {trouble}")
    elif isinstance(leader, dict):
        print(
            f"leader    none answers; the last was {leader['who']}, mode {leader['mode']}, from {_at(leader['since'])}"
        )
    else:
        print("leader    none yet")
    oldest = f", the oldest since {_ago(watches['oldest_due_at'])}" if watches["oldest_due_at"] else ""
    print(f"watches   {watches['open']} open, {watches['due']} due{oldest}; {watches['ended']} ended")
    print(
        f"cases     {sum(cases.values())} open"
        + "".join(f"\n          {count} {kind}" for kind, count in cases.items())
    )
    for name, pause in paused.items():
        print(f"paused    {name} since {_at(pause['since'])}: {pause['why']}")
    for name, since in in_doubt.items():
        print(f"in doubt  {name} since {_at(since)}: every ask came back NotCreated")
    if known["open_intentions"]:
        print(f"settling  {known['open_intentions']} begun and not finished")
    print(f"walked    {_ago(known['walked_at'])}")
    print(f"ledger    {ledger['entries']} entries, head {ledger['head'][:16]}…")


def _at(text: object) -> str:
    return at(datetime.fromisoformat(str(text))) if text else "never"


def _ago(text: object) -> str:
    if not text:
        return "never"
    moment = datetime.fromisoformat(str(text))
    return f"{at(moment)} ({length(datetime.now(UTC) - moment)} ago)"
