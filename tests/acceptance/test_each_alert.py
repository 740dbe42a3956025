"""Each alert, made to happen in the running daemon: log line, message and the runbook agree with each other.

The cases of kinds are in test_each_kind_of_case.py. So that nobody waits five real minutes for what a person is told of
after five minutes, time passes quickly from the line on.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import shlex
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from reconciler.events import CATALOGUE
from reconciler.ops.line import TRACEBACK
from reconciler.ops.value import text_of
from reconciler.settings.alerts import alerting
from tests.acceptance.moving_clock import MovingClock
from tests.acceptance.receiver import Receiver
from tests.acceptance.scene import Scene
from tests.acceptance.troubles import TROUBLES
from tests.acceptance.world import ENDS_WITHIN_S, world
from tests.unit.docs.book import Book

pytestmark = pytest.mark.acceptance

RUNBOOK: Final = "docs/how-to/runbook.md"
HEAD: Final = {"at", "severity", "event", "message_id"}
FIELDS: Final = {field.name for kind in CATALOGUE.values() for field in dataclasses.fields(kind)}  # type: ignore[arg-type] # @event makes each a dataclass
STEP_S: Final = 20.0
"""Less than a clock may be off before anybody says so: an answer is under way while time passes."""
SHOWN: Final = 200
"""As much of a long value as any message shows."""
EXAMPLES: Final = {"ORDER": "A1", "ID": "1"}


@pytest.fixture(name="scene")
async def scene_fixture(tmp_path: Path, receiver: Receiver, event: str) -> AsyncIterator[Scene]:
    clock = MovingClock(tmp_path / "clock")
    async with world(tmp_path, clock=clock) as made:
        scene = Scene(made, clock, receiver, event)
        async with scene.until_the_end:
            yield scene


@pytest.fixture(name="section")
def section_fixture(event: str) -> str:
    return Book().sections(RUNBOOK)[event]


def test_every_event_that_somebody_is_told_of_happens_here() -> None:
    assert set(TROUBLES) == set(alerting())


@pytest.mark.parametrize("event", TROUBLES)
async def test_line_message_and_runbook_agree_on_each_alert(scene: Scene, event: str, section: str) -> None:
    daemon = await TROUBLES[event](scene)
    await daemon.until(event)
    message = await told(scene)
    line = daemon.events(event)[-1]
    tells_as_the_catalogue_has_it(event, line)
    says_what_the_line_says(event, line, message)
    speaks_of_what_the_message_says(section, line)
    assert message.endswith(f"\nRunbook: {RUNBOOK}#{event.replace('.', '')}")
    for command in re.findall(r"`reconciler ([^`]+)`", section):
        await can_be_typed(scene, command)


async def told(scene: Scene) -> str:
    """Let time pass until somebody is told; give what he was told."""
    async with asyncio.timeout(ENDS_WITHIN_S):
        while not (heard := scene.receiver.told(scene.event)):
            scene.clock.let_pass(STEP_S)
            await asyncio.sleep(0.25)  # another process looks now and then
    return heard[0]


def tells_as_the_catalogue_has_it(event: str, line: Mapping[str, Any]) -> None:
    """See that the line is the event that the catalogue has, with each of its fields and no other."""
    kind = CATALOGUE[event]
    assert (line["severity"], line["message_id"]) == (kind.severity.name.lower(), kind.message_id)
    assert line.keys() - HEAD == {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type] # see above


def says_what_the_line_says(event: str, line: Mapping[str, Any], message: str) -> None:
    """See that the message names the event, what it is about, each figure, what it means and what to do."""
    kind = CATALOGUE[event]
    assert kind.alert
    subject = " ".join(["", *(str(line[field]) for field in kind.alert.subject)])
    headline = re.escape(event + subject)
    assert re.match(rf"{headline} \[shop\.db orders on [^\n]+\]\n{headline} \({line['severity']}\), since ", message)
    for field in line.keys() - HEAD - {TRACEBACK}:
        value = " ".join(text_of(line[field]).split())
        assert f"\n{field}: {value[:SHOWN]}" in message, message
    assert f"\n{kind.meaning}\nWhat to do: {kind.advice}\n" in message


def speaks_of_what_the_message_says(section: str, line: Mapping[str, Any]) -> None:
    """See that fields which the runbook names are the message's own, and that it looks for lines that there are."""
    without_links = re.sub(r"\[`[^`]+`\]\([^)]+\)", "", section)
    assert set(re.findall(r"`(\w+)`", without_links)) & FIELDS <= line.keys()
    assert set(re.findall(r"MESSAGE_ID=(\w+)", section)) <= {CATALOGUE["order.settled"].message_id}


async def can_be_typed(scene: Scene, command: str) -> None:
    """Type a command that the runbook names, while the trouble lasts: it does something, or says why it cannot."""
    words = [EXAMPLES.get(word, word) for word in shlex.split(command)]
    code, said = await scene.world.command(scene.config, *words)
    is_mended_first = scene.event == "config.refused"
    assert code in ({2} if is_mended_first else {0, 1}), f"reconciler {command}: {said}"
    assert "Usage" not in said
