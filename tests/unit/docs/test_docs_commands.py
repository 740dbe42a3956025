"""Every command and option that a page names exists, and the other way round; so does every field of JSON."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer.main

from reconciler.cli import COMMANDS, doctor, explain, ledger, status
from reconciler.cli.cases import listing
from reconciler.control_cases import plain as plain_handled
from reconciler.doctor import Remark, Verdict
from reconciler.domain.answer import Evidence
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.order import Attempt, ChannelName, OrderKey
from reconciler.flow.handle import Handled
from reconciler.flow.inquiry import Finding
from reconciler.flow.switch import Switched
from reconciler.ledger.verify import Problem, Verification
from reconciler.ports import Ask, Case, CaseId, Entry, Story, StoryEntry, Watch, WatchCounts, WatchId
from tests.unit.docs.book import Book

PAGE = "docs/reference/commands.md"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
OPEN = {"daemon", "leader", "finding", "settling_paused"}
"""Objects that are a field of their own, since they may be null."""
FREE = {"cases", "paused", "in_doubt", "body", "channel_paused"}
"""Objects with members of no fixed name, or of another's."""


def _commands() -> Mapping[str, Any]:
    """Give every command that can be typed, by its words."""
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


def _options(command: Any) -> set[str]:  # noqa: ANN401 # typer brings a click of its own
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    return options - {"--help", "--install-completion", "--show-completion"}


def test_every_command_has_its_section_with_exactly_its_options(book: Book) -> None:
    sections = {
        heading.removeprefix("reconciler "): set(re.findall(r"^\| `(--[\w-]+)` \|", text, re.MULTILINE))
        for heading, text in book.sections(PAGE).items()
        if heading.startswith("reconciler ")
    }
    assert sections == {words: _options(command) for words, command in _commands().items()}


def _typed(book: Book) -> Iterator[tuple[Path, str]]:
    """Give every command line of ours that a page tells the reader to type."""
    for path in book.pages:
        lines = [line for block in book.blocks(path, "sh") for line in block.splitlines()]
        lines += re.findall(r"`((?:\S*/)?reconciler [a-z][^`]*)`", book.prose(path))
        for line in lines:
            command = re.search(r"(?:^|/)reconciler (.+)", line.partition(" #")[0].strip())
            if command and "…" not in line:
                yield path, command[1]


def test_every_command_line_on_a_page_can_be_typed(book: Book) -> None:
    known, count = _commands(), 0
    for path, line in _typed(book):
        words = shlex.split(line)
        if words == ["--version"]:
            continue
        name = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
        assert name, f"{path.name}: reconciler {line}"
        options = {word for word in words if word.startswith("--")}
        assert options <= _options(known[name]), f"{path.name}: reconciler {line}"
        count += 1
    assert count > 20


def _fields(value: object, path: str = "") -> Iterator[str]:
    key = path.rpartition(".")[2]
    if isinstance(value, Mapping) and key not in FREE:
        if key in OPEN:
            yield path
        for name, inner in value.items():
            yield from _fields(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        assert value, f"the example of {path} needs one"
        yield from _fields(value[0], f"{path}[]")
    else:
        yield path


FACTS = (Fact("amount", "CNY 1.00", "CNY 2.00"),)
EVIDENCE = Evidence("alipay", "asked", 200, (), b"{}", None, NOW)
ENTRY = StoryEntry(1, NOW, Entry("settled", OrderKey("1"), body={"why": "x"}, evidence=EVIDENCE), "hash")
CASE = Case(CaseId(1), CaseKind.NEEDS_REVIEW, OrderKey("1"), "A1", ChannelName("alipay-main"), "A1", "why", FACTS, NOW)
WATCH = Watch(
    WatchId(1),
    Attempt(OrderKey("1"), "A1", ChannelName("alipay-main"), "A1", NOW),
    NOW,
    asks=(Ask(NOW, "Paid", "", 4, "settled"),),
)
FINDING = Finding(
    "A1", "alipay-main", "A1", "pending", "Paid", "", True, 4, FACTS, "settle", "why", False, "settled: x"
)
VERIFICATION = Verification(1, (1, "hash"), 1, 1, 0, NOW, (Problem(1, "altered", NOW, "A1"),), (("lantern", 2),))
KNOWN = status.Known(
    daemon={"who": "a", "mode": "observe", "leading": True, "found_at": None, "asked_at": None, "troubles": ["x"]},
    leader={"who": "a", "since": "x", "mode": "observe"},
    watches=WatchCounts(1, 1, 0, NOW),
    cases={"stalled": 1},
    open_intentions=0,
    settling_paused={"since": "x", "by": "a", "why": "x"},
    paused={"alipay-main": {}},
    in_doubt={"alipay-main": "x"},
    walked_at=None,
    head=(1, "hash"),
)

HANDLED = plain_handled(CASE.id, Handled(done=True, case=CASE, why="resolved"))

SWITCHED = Switched("settling", paused=True, changed=True, since="x", by="a", why="x")

PRINTED: Mapping[str, object] = {
    "doctor": doctor._plain([Remark("shop", Verdict.FAULT, "x", "y")]),
    "ask": [asdict(FINDING)],
    "explain": explain._plain(explain.Known(Story((WATCH,), (ENTRY,), (CASE,)), {}, "observe")),
    "cases list": [listing.plain(CASE)],
    "cases show": {**listing.plain(CASE), "entries": [listing.plain_entry(ENTRY)]},
    "cases approve": [plain_handled(CASE.id, Handled(done=True, case=CASE, why="ended", finding=FINDING))],
    "cases resolve": [HANDLED],
    "cases reopen": [HANDLED],
    "cases snooze": [HANDLED],
    "status": status._plain(KNOWN),
    "pause": [asdict(SWITCHED)],
    "resume": [asdict(SWITCHED)],
    "ledger verify": ledger._plain(VERIFICATION),
}


@pytest.mark.parametrize("words", PRINTED)
def test_the_fields_of_json_are_the_documented_ones(book: Book, words: str) -> None:
    section = book.sections(PAGE)[f"reconciler {words}"]
    documented = re.findall(r"^\| `([\w.\[\]]+)` \|", section, re.MULTILINE)
    assert documented == list(_fields(PRINTED[words]))


def test_no_command_with_json_is_left_undocumented() -> None:
    with_json = {words for words, command in _commands().items() if "--json" in _options(command)}
    assert with_json - {"config show"} == set(PRINTED), (
        "config show prints the settings, which have a page of their own"
    )
