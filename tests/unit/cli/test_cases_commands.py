"""`reconciler cases list` and `show`: how they look to whoever has to act on them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

from reconciler.cli import main
from reconciler.cli.cases.table import print_table
from reconciler.domain.answer import Evidence
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.money import Money
from reconciler.domain.order import ChannelName, OrderKey
from reconciler.exit import Exit
from reconciler.ledger import open_ledger
from reconciler.ports import Batch, Case, CaseId, CaseReport, EndCases
from reconciler.sandbox.keys import APP_KEY, keep_keys
from tests.small_configuration import small_configuration
from tests.unit.cli.loading import loaded_by

NOW = datetime.now(UTC)
WHY = "paid, but not as ordered: amount CNY 0.01 at the gateway, CNY 494.64 in the shop, and more of the same to fill"
NUMBERS = ("SO20261123-000000000017", "订单-2026-11-23-000000018", "S3")
EVIDENCE = Evidence("alipay", "asked", 200, (), b"{}", None, NOW)
CASES = [
    Case(CaseId(number), kind, OrderKey(str(number)), order_no, ChannelName("alipay-main"), order_no, WHY, (), NOW)
    for number, (kind, order_no) in enumerate(
        zip((CaseKind.REFUNDED_WHILE_PENDING, CaseKind.NEEDS_REVIEW, CaseKind.STALLED), NUMBERS, strict=True), 1
    )
]


def on_a_terminal(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_table([replace(case, opened_at=datetime.now(UTC)) for case in CASES])
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [80, 100, 132, 200])
def test_no_number_is_broken_over_two_lines(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = on_a_terminal(width, monkeypatch, capsys)
    for case in CASES:
        (line,) = [line for line in lines if case.order_no in line]
        assert {str(case.id), case.kind.value, "alipay-main"} <= set(line.split())
    assert all(cell_len(line) <= width for line in lines), lines
    assert " ".join(" ".join(lines).split()).count("CNY 494.64 in the shop") == 3, "and nothing is cut off"


@pytest.mark.parametrize(("width", "left_out"), [(100, set()), (80, {"amount"}), (70, {"amount", "channel"})])
def test_what_is_least_needed_makes_room_for_the_numbers(
    width: int, left_out: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    opened_at = datetime.now(UTC) - timedelta(days=12, hours=23)
    print_table([replace(case, opened_at=opened_at, amount=Money(8800)) for case in CASES])
    heading, *lines = capsys.readouterr().out.splitlines()
    assert {"id", "age", "kind", "order", "amount", "channel"} - set(heading.split()) == left_out
    assert all(cell_len(line) <= width for line in lines), lines
    assert all(any(number in line for line in lines) for number in NUMBERS)


def test_where_it_is_narrow_why_stands_below(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heading, first, below, *_ = on_a_terminal(80, monkeypatch, capsys)
    assert "why" not in heading
    assert first.endswith("alipay-main")
    assert below.startswith("    paid, but not as ordered")


def test_on_a_terminal_each_case_has_its_amount(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "132")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_table([replace(CASES[2], amount=Money(8800)), replace(CASES[2], id=CaseId(4))])
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["id", "age", "kind", "order", "amount", "channel", "why"]
    assert [line.split()[4:6] for line in lines if "stalled" in line] == [["CNY", "88.00"], ["-", "alipay-main"]]


def test_in_a_pipe_a_case_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(CASES)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[3] for line in lines] == list(NUMBERS)
    assert [line.split("\t")[4:] for line in lines] == [["alipay-main", WHY]] * 3


# -------------------------------------------------------------------------------------------------------------- show


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    keep_keys(tmp_path / "keys")
    path = tmp_path / "reconciler.toml"
    shop, ledger = f"sqlite:///{tmp_path}/shop.db", f"sqlite:///{tmp_path}/ledger.db"
    path.write_text(small_configuration(tmp_path / "keys", shop=shop, ledger=ledger, mode="enforce"))
    return path


def with_case(
    configuration: Path, *, ended: bool, kind: CaseKind = CaseKind.NEEDS_REVIEW, evidence: Evidence | None = EVIDENCE
) -> None:
    async def made() -> None:
        ledger = await open_ledger(f"sqlite:///{configuration.parent}/ledger.db")
        key, channel = OrderKey("1"), ChannelName("alipay-main")
        fact = Fact("paid_at", "2026-11-23T04:30:00+00:00", "settle.review_after 12 h")
        report = CaseReport(kind, key, "A1", channel, "A1", WHY, (fact,), evidence, amount=Money(8800))
        try:
            await ledger.lead("a test", NOW)
            await ledger.record(Batch(cases=(report,)), NOW)
            if ended:
                await ledger.record(Batch(ends=(EndCases(key, "settled"),)), NOW)
        finally:
            await ledger.close()

    asyncio.run(made())


@pytest.mark.parametrize(
    ("words", "printed", "said"),
    [
        (("--kind", "stalled", "--yes", "--json"), [], ""),
        (("--kind", "stalled", "--yes"), None, "There is no open case stalled.\n"),
        (("--kind", "needs_review", "--json"), None, "Nothing was done: this would approve these 1. --yes does it.\n"),
        (("9", "--json"), [9], ""),
        (("9",), None, "There is no case 9. `reconciler cases list --all` has them all.\n"),
    ],
)
def test_what_cannot_be_done_is_json_for_a_program_and_words_for_a_person(
    words: Sequence[str],
    printed: list[int] | None,
    said: str,
    configured: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_case(configured, ended=False)
    with pytest.raises(SystemExit) as ended:
        main(["cases", "approve", *words, "--config", str(configured)])
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert (json.loads(out) if out else None) == (
        None if printed is None else [answer_about(number) for number in printed]
    )
    assert err == said


def answer_about(number: int) -> dict[str, object]:
    why = f"There is no case {number}. `reconciler cases list --all` has them all."
    return {"case": number, "kind": None, "order_no": None, "done": False, "why": why, "finding": None}


def test_listing_loads_no_http_no_cryptography_and_not_the_flow(configured: Path) -> None:
    """Loading is most of the time that it takes."""
    with_case(configured, ended=False)
    _, names = loaded_by("cases", "list", "--config", str(configured))
    assert "reconciler.cli.cases.listing" in names
    others = {"aiohttp", "httpx", "tenacity", "cryptography.x509", "reconciler.events", "reconciler.flow"}
    assert not others & set(names)


def test_cases_alone_prints_what_cases_list_does(configured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_case(configured, ended=False)
    printed = []
    for words in (["cases"], ["cases", "list"]):
        with pytest.raises(SystemExit):
            main([*words, "--config", str(configured), "--json"])
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != ""


READING = (
    ["cases", "list"],
    ["cases", "show", "1"],
    ["explain", "A1"],
    ["status"],
    ["ledger", "verify"],
    ["ledger", "export"],
)


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_key_that_is_of_no_use_keeps_nobody_from_reading_the_ledger(
    words: list[str], configured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who asks no gateway needs no key of it, least of all on the night when it turned out to be broken."""
    with_case(configured, ended=False)
    (configured.parent / "keys" / APP_KEY).write_text("no key at all")
    with pytest.raises(SystemExit) as reading:
        main([*words, "--config", str(configured)])
    out, err = capsys.readouterr()
    assert reading.value.code in {0, Exit.UNFINISHED}, "the shop is none that explain could read"
    assert out
    assert "private_key" not in err
    with pytest.raises(SystemExit) as asking:
        main(["config", "check", "--config", str(configured)])
    assert asking.value.code == Exit.CONFIGURATION
    assert "private_key" in capsys.readouterr().err


def shown(configuration: Path, capsys: pytest.CaptureFixture[str]) -> str:
    with contextlib.suppress(SystemExit):
        main(["cases", "show", "1", "--config", str(configuration)])
    return capsys.readouterr().out.partition("what to do")[2]


def test_an_open_case_says_what_to_do(configured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_case(configured, ended=False)
    told = shown(configured, capsys)
    assert "reconciler cases approve 1" in told
    assert "reconciler cases resolve 1" in told
    assert "Look at the fact marked ≠" in told
    assert "By hand means by the shop's own means" in told
    assert "docs/how-to/handle-a-case.md#needs_review says more" in told


def test_by_hand_is_explained_only_where_something_is_done_by_hand(
    configured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_case(configured, ended=False, kind=CaseKind.UNASKABLE)
    told = shown(configured, capsys)
    assert "By hand" not in told
    assert "  docs/how-to/handle-a-case.md#unaskable says more." in told


def test_in_mode_observe_nothing_is_offered_that_would_be_refused(
    configured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_case(configured, ended=False)
    configured.write_text(configured.read_text().replace('mode = "enforce"', 'mode = "observe"'))
    told = shown(configured, capsys)
    assert "cases approve" not in told
    assert "In mode observe nothing is settled, and so nothing is approved" in told


def test_of_a_case_that_has_ended_there_is_nothing_to_do(configured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_case(configured, ended=True)
    told = shown(configured, capsys)
    assert "nothing: it has ended" in told
    assert not {"approve", "resolve"} & set(told.split())
    assert "reconciler cases reopen 1" in told
    assert "reconciler explain A1" in told


def test_it_says_how_long_it_has_been_open_how_much_it_is_about_and_where_the_answers_are(
    configured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_case(configured, ended=False)
    with contextlib.suppress(SystemExit):
        main(["cases", "show", "1", "--config", str(configured)])
    told = capsys.readouterr().out
    assert "order     A1   key 1   CNY 88.00" in told
    assert re.search(r"^opened    \S+ \(\S+ ago\)$", told, re.MULTILINE)
    assert "  The gateway's answers as they arrived: reconciler ledger export --order A1" in told
    with_case(configured, ended=False, kind=CaseKind.STALLED, evidence=None)
    with contextlib.suppress(SystemExit):
        main(["cases", "show", "2", "--config", str(configured)])
    assert "as they arrived" not in capsys.readouterr().out
