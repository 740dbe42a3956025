"""`reconciler ledger verify` and `export`: what they take, print and end with."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sqlite3
import stat
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.cli import main
from reconciler.events.trouble import LedgerHead
from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ops.log import configure
from reconciler.sandbox.keys import keep_keys
from reconciler.testing.ledger_examples import NOW
from tests.integration.ledger.signed import KINDS_OF_ENTRIES, day
from tests.small_configuration import small_configuration

LAST = len(KINDS_OF_ENTRIES)


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    keep_keys(directory)
    return directory


class Place:
    """A configuration, its ledger, and the command beside it."""

    def __init__(self, directory: Path, keys: Path, capture: pytest.CaptureFixture[bytes]) -> None:
        self.directory = directory
        self.ledger = directory / "ledger.db"
        self.config = directory / "reconciler.toml"
        self._capture = capture
        shop, ledger = f"sqlite:///{directory}/shop.db", f"sqlite:///{self.ledger}"
        self.config.write_text(small_configuration(keys, shop=shop, ledger=ledger))

    def do(self, work: Callable[[SqlLedger], Awaitable[object]]) -> None:
        """Work on the ledger."""

        async def done() -> None:
            ledger = await open_ledger(f"sqlite:///{self.ledger}")
            try:
                await work(ledger)
            finally:
                await ledger.close()

        asyncio.run(done())

    def tamper(self, statement: str) -> None:
        with closing(sqlite3.connect(self.ledger)) as file, file:
            assert file.execute(statement).rowcount

    @property
    def head(self) -> str:
        with closing(sqlite3.connect(self.ledger)) as file:
            return ":".join(map(str, file.execute("SELECT id, hash FROM entries ORDER BY id DESC").fetchone()))

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run `reconciler ledger …`; give exit code, output and error."""
        self._capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["ledger", *arguments, "--config", str(self.config)])
        output, error = self._capture.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), output.decode(), error.decode()


@pytest.fixture
def place(tmp_path: Path, keys: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Place:
    made = Place(tmp_path, keys, capfdbinary)
    made.do(day)
    return made


# ---- verify


def test_a_sound_ledger_ends_with_0_and_says_what_was_checked(place: Place) -> None:
    code, output, error = place.run("verify", "--head", place.head)
    assert (code, error) == (0, "")
    assert output.splitlines() == [
        f"entries    {LAST}, the last is {place.head}",
        "evidence   6 intact, 5 signatures verified, 0 pruned",
        "heads      1 kept elsewhere, compared",
        "sound",
    ]


def test_without_a_head_it_says_what_it_cannot_know(place: Place) -> None:
    code, output, _ = place.run("verify")
    assert code == 0
    assert "none given: a cut end, or a record written anew, shows only against one (--head)" in output


def test_the_first_bad_entry_is_named_with_time_order_and_fault(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    place.tamper("UPDATE entries SET body = '{}' WHERE id = 5")
    place.tamper("DELETE FROM entries WHERE id = 7")
    code, output, _ = place.run("verify")
    first = re.compile(
        r"entry 5 \(2026-11-23T\d\d:00:00[+-]\d\d:\d\d, order A1\): has been altered: its hash is another"
    )
    assert code == 1
    assert first.search(output)
    assert re.fullmatch(r"NOT SOUND \(problems: 3\), beginning with (.+)", output.splitlines()[-1])
    assert first.search(output.splitlines()[-1])
    assert "entry 8 (" in output
    assert "comes too early: entry 7 is missing" in output

    code, output, _ = place.run("verify", "--json")
    told = json.loads(output)
    assert (code, told["sound"], len(told["problems"])) == (1, False, 3)
    assert told["problems"][0] == {
        "entry": 5,
        "at": "2026-11-23T08:00:00+00:00",
        "order_no": "A1",
        "problem": "has been altered: its hash is another",
    }


def test_a_thousand_problems_are_said_to_be_perhaps_more(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.cli.ledger.PROBLEMS_MAX", 1)
    place.tamper("UPDATE entries SET body = '{}' WHERE id = 5")
    assert "(problems: 1 or more)" in place.run("verify")[1]


def test_what_was_pruned_is_a_fact_and_no_fault(place: Place) -> None:
    async def prune(ledger: SqlLedger) -> None:
        await ledger.lead("test", NOW)
        await ledger.prune(NOW.replace(hour=9))

    place.do(prune)
    code, output, _ = place.run("verify")
    assert (code, output.splitlines()[-1]) == (0, "sound")
    assert re.search(r"evidence   1 intact, 1 signatures verified, 5 pruned, of entries before 2026-11-23T", output)
    told = json.loads(place.run("verify", "--json")[1])
    assert (told["pruned"], told["pruned_before"]) == (5, "2026-11-23T09:00:00+00:00")


@pytest.mark.parametrize("form", ["json", "console", "journald"])
def test_a_head_is_taken_as_the_hourly_event_has_it(place: Place, form: str) -> None:
    number, _, digest = place.head.partition(":")
    true, false = (_logged(LedgerHead(entry=int(number), hash=text), form) for text in (digest, "e" * 64))
    assert place.run("verify", "--head", true)[0] == 0
    assert place.run("verify", "--head", f"{true}\n\n{true}\n", "--head", place.head)[0] == 0
    code, output, _ = place.run("verify", "--head", f"{true}\n{false}")
    assert code == 1
    assert "heads      2 kept elsewhere, compared" in output
    assert f"entry {number} " in output.splitlines()[-1]


def _logged(event: LedgerHead, form: str) -> str:
    """Let the real log write it: the whole line, or what the journal shows of it."""
    stream = io.StringIO()
    log = configure("json" if form == "json" else "console", stream=stream)
    log.emit(event)
    log.close()
    line = stream.getvalue().strip()
    return line[line.index("ledger.head") :] if form == "journald" else line


def test_a_cut_end_shows_against_a_logged_head(place: Place) -> None:
    head = place.head
    place.tamper("DELETE FROM entries WHERE id = 9")
    assert place.run("verify")[0] == 0
    code, output, _ = place.run("verify", "--head", head)
    assert code == 1
    assert f"entry {LAST}: is missing: the chain ends with {LAST - 1}, and its hash was kept elsewhere" in output


@pytest.mark.parametrize(
    "head", ["", "5", "5:abc", f"x:{'a' * 64}", f"²:{'a' * 64}", f"5:{'A' * 64}", f"{'9' * 30}:{'a' * 64}"]
)
def test_a_head_that_is_none_ends_it_with_2(place: Place, head: str) -> None:
    code, output, error = place.run("verify", "--head", head)
    assert (code, output) == (2, "")
    assert "write it as NUMBER:HASH" in error


@pytest.mark.parametrize("command", ["verify", "export"])
def test_a_ledger_that_is_not_there_ends_it_with_2(place: Place, command: str) -> None:
    place.ledger.unlink()
    code, output, error = place.run(command)
    assert (code, output) == (2, "")
    assert "there is no such file" in error


# ---- export


def lines(text: str) -> list[int]:
    return [json.loads(line)["entry"] for line in text.splitlines()]


def test_all_of_it_goes_to_standard_output_and_what_it_is_to_standard_error(place: Place) -> None:
    code, output, error = place.run("export")
    assert (code, lines(output)) == (0, list(range(1, LAST + 1)))
    assert error == f"{LAST} entries, 1 to {LAST}; the ledger ends with {place.head}\n"
    assert output.isascii()


def test_an_order_a_time_and_both_select(place: Place) -> None:
    assert lines(place.run("export", "--order", "A1")[1]) == [2, 3, 4, 5]
    assert len(lines(place.run("export", "--since", "2026-11-23", "--until", "2026-11-24")[1])) == LAST
    # Eight o'clock UTC is four in the afternoon in the shop's zone, which a time without an offset is in.
    assert len(lines(place.run("export", "--since", "2026-11-23T16:00:00")[1])) == LAST
    assert place.run("export", "--since", "2026-11-23T16:00:01")[0] == 1
    assert len(lines(place.run("export", "--until", "2026-11-23T08:00:00.000001+00:00")[1])) == LAST
    assert lines(place.run("export", "--order", "A3", "--since", "2026-11-01")[1]) == [8]


def test_a_selection_with_nothing_in_it_says_so_and_makes_no_file(place: Place, tmp_path: Path) -> None:
    target = tmp_path / "none.csv"
    for more in ((), ("--output", str(target))):
        code, output, error = place.run("export", "--order", "A9", "--format", "csv", *more)
        assert (code, output) == (1, "")
        assert error == "No entry of the ledger is in this selection; nothing was written.\n"
    assert not [path for path in tmp_path.iterdir() if "none" in path.name]


def test_a_file_is_the_owners_alone_and_never_another_ones(place: Place, tmp_path: Path) -> None:
    target = tmp_path / "all.csv"
    code, output, error = place.run("export", "--format", "csv", "--output", str(target))
    assert (code, output) == (0, "")
    assert error.startswith(f"{LAST} entries, 1 to {LAST}, into {target}; the ledger ends with")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    text = target.read_text()
    assert text.startswith('"entry","at","kind"')
    assert '"\'=1+1"' in text
    target.write_text("mine")
    code, _, error = place.run("export", "--output", str(target))
    assert (code, target.read_text()) == (2, "mine")
    assert "is there already" in error
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_link_that_leads_nowhere_is_there_already_too(place: Place, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert place.run("export", "--output", str(tmp_path / "link"))[0] == 2
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("links", [True, False], ids=["with links", "without links"])
def test_a_file_that_comes_meanwhile_is_left_alone(
    place: Place, tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, link = tmp_path / "all.jsonl", os.link

    def meanwhile(source: Path, there: Path) -> None:
        target.write_text("mine")
        if not links:
            raise PermissionError(1, "Operation not permitted")
        link(source, there)

    monkeypatch.setattr(os, "link", meanwhile)
    assert place.run("export", "--output", str(target))[0] == 2
    assert target.read_text() == "mine"


def test_where_there_are_no_links_a_file_still_appears_whole(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert place.run("export", "--output", str(tmp_path / "all.jsonl"))[0] == 0
    assert len(lines((tmp_path / "all.jsonl").read_text())) == LAST


def test_a_ledger_that_fails_midway_leaves_no_file(place: Place, tmp_path: Path) -> None:
    place.tamper("UPDATE entries SET body = CAST(X'FF' AS TEXT) WHERE id = 9")
    code, _, error = place.run("export", "--output", str(tmp_path / "all.jsonl"))
    assert code == 1
    assert "ledger" in error
    assert not [path for path in tmp_path.iterdir() if "all.jsonl" in path.name]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--since", "yesterday"), 2, "--since yesterday: write it like 2026-11-01"),
        (("--until", "2026-13-01T00:00:00"), 2, "--until 2026-13-01T00:00:00: write it like"),
        (("--order", " "), 2, "name an order"),
        (("--format", "xml"), 2, "xml"),
        (("--output", "/nowhere/at/all"), 1, "cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_said(place: Place, arguments: tuple[str, ...], code: int, words: str) -> None:
    ended, output, error = place.run("export", *arguments)
    assert (ended, output) == (code, "")
    assert words in error


def test_a_number_of_too_many_orders_is_referred_to_a_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.ledger.walk.ORDERS_MAX", 0)
    code, _, error = place.run("export", "--order", "A1")
    assert code == 2
    assert "export by time instead" in error
