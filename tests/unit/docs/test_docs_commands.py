"""Every command and option that a page names exists, and the other way round; so does every field of JSON."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.cli import alerts, doctor, explain, ledger, status
from reconciler.cli.cases import listing
from reconciler.cli.hindrances import Standing
from reconciler.control.cases import plain as plain_handled
from reconciler.doctor import Remark, Verdict
from reconciler.domain.answer import Evidence
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.order import Attempt, ChannelName, OrderKey
from reconciler.flow.handle import Handled
from reconciler.flow.inquiry import Finding
from reconciler.flow.learning import Learned
from reconciler.flow.stay_book import Figure
from reconciler.flow.switch import Switched
from reconciler.ledger.size import LedgerSize
from reconciler.ledger.verify import Problem, Verification
from reconciler.ports import Ask, Case, CaseId, Entry, OpenCases, Story, StoryEntry, Watch, WatchCounts, WatchId
from tests.unit.docs.book import Book
from tests.unit.docs.commands import PAGE, documented, options_of, typed, with_json

NOW = datetime(2026, 11, 23, tzinfo=UTC)
OPEN = {"daemon", "leader", "finding", "settling_paused"}
"""Objects that are a field of their own, since they may be null."""
FREE = {"cases", "cases_oldest_at", "channels", "paused", "in_doubt", "body", "channel_paused"}
"""Objects with members of no fixed name, or of another's."""


def test_every_command_has_its_section_with_exactly_its_options(book: Book) -> None:
    sections = {
        heading.removeprefix("reconciler "): set(re.findall(r"^\| `(--[\w-]+)` \|", text, re.MULTILINE))
        for heading, text in book.sections(PAGE).items()
        if heading.startswith("reconciler ")
    }
    assert sections == {words: options_of(command) for words, command in typed().items()}


def _typed(book: Book) -> Iterator[tuple[Path, str]]:
    """Give every command line of ours that a page tells the reader to type."""
    for path in book.pages:
        lines = [line for block in book.blocks(path, "sh") for line in block.splitlines()]
        lines += re.findall(r"`((?:\S*/)?reconciler [a-z][^`]*)`", book.prose(path))
        for line in lines:
            command = re.search(r"(?:^|bin/)reconciler (.+)", line.partition(" #")[0].strip())
            if command and "…" not in line:
                yield path, command[1]


def test_every_command_line_on_a_page_can_be_typed(book: Book) -> None:
    known, count = typed(), 0
    for path, line in _typed(book):
        words = shlex.split(line)
        if words == ["--version"]:
            continue
        name = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
        assert name, f"{path.name}: reconciler {line}"
        options = {word for word in words if word.startswith("--")}
        assert options <= options_of(known[name]), f"{path.name}: reconciler {line}"
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
    daemon={
        "who": "a",
        "mode": "observe",
        "leading": True,
        "found_at": None,
        "asked_at": None,
        "troubles": ["x"],
        "unready": ["x"],
        "channels": {"alipay-main": ["throttled"]},
    },
    leader={"who": "a", "since": "x", "mode": "observe"},
    watches=WatchCounts(1, 1, 0, NOW),
    cases={"stalled": OpenCases(1, NOW)},
    settled=1,
    open_intentions=0,
    settling_paused={"since": "x", "by": "a", "why": "x"},
    paused={"alipay-main": {}},
    in_doubt={"alipay-main": "x"},
    limits={"2": (timedelta(minutes=10), Figure(over=1))},
    walked_at=None,
    head=(1, "hash"),
    size=LedgerSize(4096, None),
)

HANDLED = plain_handled(CASE.id, Handled(done=True, case=CASE, why="resolved"))

STANDING = Standing({}, {}, None, None, None, ("alipay-main",))

SWITCHED = Switched("settling", paused=True, changed=True, since="x", by="a", why="x")

LEARNED = Learned(datetime(2026, 11, 23, tzinfo=UTC), 4.0, 120, (timedelta(seconds=40),))

PRINTED: Mapping[str, object] = {
    "doctor": doctor._plain([Remark("shop", Verdict.FAULT, "x", "y")]),
    "ask": [asdict(FINDING)],
    "explain": explain._plain(explain.Known(Story((WATCH,), (ENTRY,), (CASE,)), STANDING, "observe", LEARNED)),
    "cases": [listing.plain(CASE)],
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
    "alerts test": [asdict(alerts.Tried("alerts.targets[0] json://…", taken=True))],
}


@pytest.mark.parametrize("words", PRINTED)
def test_the_fields_of_json_are_the_documented_ones(book: Book, words: str) -> None:
    assert list(documented(book, words)) == list(_fields(PRINTED[words]))


def test_no_command_with_json_is_left_undocumented() -> None:
    assert with_json() - {"config show"} == set(PRINTED), (
        "config show prints the settings, which have a page of their own"
    )
