"""`reconciler cases list` and `show`: how they look to whoever has to act on them."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.cells import cell_len

from reconciler.cli import main
from reconciler.cli.cases.table import print_table
from reconciler.domain.case import CaseKind, Fact
from reconciler.domain.order import ChannelName, OrderKey
from reconciler.ledger import open_ledger
from reconciler.ports import Batch, Case, CaseId, CaseReport, EndCases
from reconciler.sandbox.keys import keep_keys

NOW = datetime.now(UTC)
WHY = "paid, but not as ordered: amount CNY 0.01 at the gateway, CNY 494.64 in the shop, and more of the same to fill"
NUMBERS = ("SO20261123-000000000017", "订单-2026-11-23-000000018", "S3")
CASES = [
    Case(CaseId(number), kind, OrderKey(str(number)), order_no, ChannelName("alipay-main"), order_no, WHY, (), NOW)
    for number, (kind, order_no) in enumerate(
        zip((CaseKind.REFUNDED_WHILE_PENDING, CaseKind.NEEDS_REVIEW, CaseKind.STALLED), NUMBERS, strict=True), 1
    )
]


def on_a_terminal(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    print_table(CASES)
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


def test_where_it_is_narrow_why_stands_below(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    heading, first, below, *_ = on_a_terminal(80, monkeypatch, capsys)
    assert "why" not in heading
    assert first.endswith("alipay-main")
    assert below.startswith("    paid, but not as ordered")


def test_in_a_pipe_a_case_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(CASES)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[3] for line in lines] == list(NUMBERS)
    assert all(line.endswith(WHY) for line in lines)


# -------------------------------------------------------------------------------------------------------------- show


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    keep_keys(tmp_path / "keys")
    path = tmp_path / "reconciler.toml"
    path.write_text(f"""
mode = "enforce"
[ledger]
url = "sqlite:///{tmp_path}/ledger.db"
[shop]
url = "sqlite:///{tmp_path}/shop.db"
[shop.orders]
table = "orders"
key = "id"
order_no = "order_no"
out_trade_no = "order_no"
amount = "amount"
status = "status"
created_at = "created_at"
[shop.orders.states]
pending = [0]
paid = [1]
settled_as = 1
[channels.alipay-main]
gateway = "alipay"
app_id = "2021000000000001"
private_key = "file:{tmp_path}/keys/alipay-app-key.pem"
alipay_public_key = "file:{tmp_path}/keys/alipay-public-key.pem"
""")
    return path


def with_case(configuration: Path, *, ended: bool, kind: CaseKind = CaseKind.NEEDS_REVIEW) -> None:
    async def made() -> None:
        ledger = await open_ledger(f"sqlite:///{configuration.parent}/ledger.db")
        key, channel = OrderKey("1"), ChannelName("alipay-main")
        fact = Fact("paid_at", "2026-11-23T04:30:00+00:00", "settle.review_after 12 h")
        report = CaseReport(kind, key, "A1", channel, "A1", WHY, (fact,))
        try:
            await ledger.lead("a test", NOW)
            await ledger.record(Batch(cases=(report,)), NOW)
            if ended:
                await ledger.record(Batch(ends=(EndCases(key, "settled"),)), NOW)
        finally:
            await ledger.close()

    asyncio.run(made())


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
