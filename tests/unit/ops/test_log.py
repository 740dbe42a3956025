"""The log, line by line."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.domain.money import Money
from reconciler.events import CATALOGUE, Severity
from reconciler.events.orders import CaseOpened, OrderSettled
from reconciler.events.running import DaemonFailed
from reconciler.ops.line import EVENT_WIDTH, Record, json_line
from reconciler.ops.log import Format, Log, configure
from reconciler.testing.clock import ManualClock

PAID_AT = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class FullDisk(io.StringIO):
    full = True

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logs(clock: ManualClock) -> Iterator[list[Log]]:
    made: list[Log] = []
    yield made
    for log in made:
        log.close()


def opened(logs: list[Log], clock: ManualClock, stream: io.StringIO, format_: Format = "console") -> Log:
    log = configure(format_, clock=clock, stream=stream)
    logs.append(log)
    return log


def settled(order_no: str = "A1") -> OrderSettled:
    return OrderSettled(
        order_no=order_no,
        channel="alipay-main",
        amount=Money(9900),
        transaction_id="2026010122001",
        paid_at=PAID_AT,
        stuck_for=timedelta(minutes=4, seconds=12),
        by="update",
    )


def test_a_console_line_has_time_severity_event_and_the_fields_in_their_order(
    logs: list[Log], clock: ManualClock, stream: io.StringIO
) -> None:
    opened(logs, clock, stream).emit(settled())

    at = clock.now().astimezone().isoformat(timespec="milliseconds")
    assert stream.getvalue() == (
        f"{at} NOTICE   {'order.settled'.ljust(EVENT_WIDTH)} order_no=A1 channel=alipay-main amount=CNY 99.00 "
        f"transaction_id=2026010122001 paid_at={PAID_AT.astimezone().isoformat()} stuck_for=4m12s by=update\n"
    )


def test_a_json_line_is_one_object(logs: list[Log], clock: ManualClock, stream: io.StringIO) -> None:
    opened(logs, clock, stream, "json").emit(settled("甲\n\x9b1"))

    (line,) = stream.getvalue().splitlines()
    assert list(json.loads(line))[:4] == ["at", "severity", "event", "message_id"]
    assert json.loads(line) | {"at": "", "paid_at": ""} == {
        "at": "",
        "severity": "notice",
        "event": "order.settled",
        "message_id": OrderSettled.message_id,
        "order_no": "甲\n\x9b1",
        "channel": "alipay-main",
        "amount": "CNY 99.00",
        "transaction_id": "2026010122001",
        "paid_at": "",
        "stuck_for": "4m12s",
        "by": "update",
    }
    assert "\x9b" not in line
    assert "甲" in line


@pytest.mark.parametrize("format_", ["console", "json"])
def test_a_number_with_a_line_break_makes_no_second_line(
    format_: Format, logs: list[Log], clock: ManualClock, stream: io.StringIO
) -> None:
    opened(logs, clock, stream, format_).emit(
        settled("A1\n2026-01-01T00:00:00 NOTICE order.settled order_no=A2\r\u2028")
    )

    assert len(stream.getvalue().splitlines()) == 1


def test_the_lines_of_a_traceback_stand_indented_where_they_cannot_pass_for_lines_of_the_log(
    logs: list[Log], clock: ManualClock, stream: io.StringIO
) -> None:
    opened(logs, clock, stream).emit(DaemonFailed(what="it", traceback="Traceback:\n2026 NOTICE x\x1b[2J"))

    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("what=it")
    assert rest == ["    Traceback:", "    2026 NOTICE x\\x1b[2J"]


def test_no_event_has_a_field_that_the_line_itself_uses() -> None:
    fields = {field.name for kind in CATALOGUE.values() for field in dataclasses.fields(kind)}  # type: ignore[arg-type] # @event makes every one a dataclass

    assert not fields & {"at", "severity", "event", "message_id"}


def test_a_field_that_is_named_like_the_lines_own_takes_another_name() -> None:
    record = Record(PAID_AT, Severity.INFO, "x.y", "ab", {"event": "z"})

    assert json.loads(json_line(record)) | {"at": ""} == {
        "at": "",
        "severity": "info",
        "event": "x.y",
        "message_id": "ab",
        "event_": "z",
    }


def test_a_terminal_is_coloured_by_severity(
    logs: list[Log], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()

    opened(logs, clock, terminal, "auto").emit(CaseOpened(case_id=1, kind="x", order_no="A1", channel="c", why="w"))

    assert "\x1b[33mWARNING" in terminal.getvalue()


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colour_where_none_is_wanted(
    variable: str, value: str, logs: list[Log], clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, value)
    terminal = Terminal()

    opened(logs, clock, terminal).emit(settled())

    assert "\x1b" not in terminal.getvalue()


def test_auto_is_json_where_nobody_looks(
    logs: list[Log], clock: ManualClock, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)

    opened(logs, clock, stream, "auto").emit(settled())

    assert json.loads(stream.getvalue())["event"] == "order.settled"


@pytest.mark.parametrize("format_", ["console", "json"])
def test_a_secret_known_at_start_is_never_printed(
    format_: Format, logs: list[Log], clock: ManualClock, stream: io.StringIO
) -> None:
    log = opened(logs, clock, stream, format_)
    log.never_print([b'pass"word\\1'])

    log.emit(settled('pass"word\\1'))
    logging.getLogger("aiomysql").error('cannot log in with pass"word\\1')

    assert "word" not in stream.getvalue()
    assert stream.getvalue().count("***") == 2


def test_a_secret_is_not_half_printed_where_a_long_text_is_cut(
    logs: list[Log], clock: ManualClock, stream: io.StringIO
) -> None:
    log = opened(logs, clock, stream)
    log.never_print(["0123456789abcdef"])

    log.emit(settled("x" * 1990 + "0123456789abcdef"))
    logging.getLogger("a").warning("%s", "y" * 490 + "0123456789abcdef")

    assert "0123" not in stream.getvalue()


@pytest.mark.parametrize("format_", ["console", "json"])
def test_a_full_disk_costs_lines_and_nothing_else(format_: Format, logs: list[Log], clock: ManualClock) -> None:
    disk = FullDisk()
    log = opened(logs, clock, disk, format_)

    log.emit(settled())
    disk.full = False
    log.emit(settled("A2"))

    assert log.lost == 1
    assert "A2" in disk.getvalue()


def test_a_closed_stream_costs_lines_and_nothing_else(logs: list[Log], clock: ManualClock, stream: io.StringIO) -> None:
    log = opened(logs, clock, stream)
    stream.close()

    log.emit(settled())

    assert log.lost == 1


def test_a_stream_that_knows_only_ascii_gets_escapes(logs: list[Log], clock: ManualClock, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w", encoding="ascii") as file:
        log = configure("console", clock=clock, stream=file)
        logs.append(log)
        log.emit(settled("甲"))

    assert "order_no=\\u7532" in path.read_text(encoding="ascii")


def test_what_libraries_say_passes_as_one_line_of_ours(
    logs: list[Log], clock: ManualClock, stream: io.StringIO
) -> None:
    opened(logs, clock, stream)

    logging.getLogger("aiohttp.client").warning("Unclosed %s\nat line two", "session")
    logging.getLogger("aiohttp.client").info("nothing of interest")

    (line,) = stream.getvalue().splitlines()
    assert "WARNING  library.warning" in line
    assert 'logger=aiohttp.client message="Unclosed session at line two"' in line


def test_an_error_that_a_library_caught_is_named_with_its_place(
    logs: list[Log], clock: ManualClock, stream: io.StringIO
) -> None:
    opened(logs, clock, stream)

    try:
        int("x")
    except ValueError:
        logging.getLogger("asyncio").exception("Task failed")

    assert "Task failed: ValueError: invalid literal" in stream.getvalue()
    assert "test_log.py:" in stream.getvalue()


def test_a_library_that_formats_wrongly_is_heard_all_the_same(
    logs: list[Log], clock: ManualClock, stream: io.StringIO
) -> None:
    opened(logs, clock, stream)

    logging.getLogger("odd").warning("%d of them", "three")  # the mistake is the point

    assert '"%d of them"' in stream.getvalue()


def test_pythons_own_warnings_pass_too(logs: list[Log], clock: ManualClock, stream: io.StringIO) -> None:
    opened(logs, clock, stream)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old habits", DeprecationWarning, stacklevel=1)

    assert "logger=py.warnings" in stream.getvalue()
    assert "DeprecationWarning: old habits" in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 1


async def test_the_same_complaint_comes_once_a_minute_with_a_count(
    logs: list[Log], clock: ManualClock, stream: io.StringIO
) -> None:
    opened(logs, clock, stream)

    for number in range(100):
        logging.getLogger("noisy").warning("retry %d", number)
    await clock.advance(61)
    logging.getLogger("noisy").warning("retry %d", 100)

    first, second = stream.getvalue().splitlines()
    assert 'message="retry 0"' in first
    assert 'message="retry 100" suppressed=99' in second


def test_libraries_with_ever_new_complaints_do_not_fill_the_memory(
    logs: list[Log], clock: ManualClock, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.ops.capture.SOURCES_MAX", 3)
    log = opened(logs, clock, stream)

    for number in range(8):
        logging.getLogger("noisy").warning(f"retry {number}")  # noqa: G004 # as careless libraries do

    assert len(stream.getvalue().splitlines()) == 8
    assert len(log._capture._last) <= 3


def test_closing_gives_logging_back(clock: ManualClock, stream: io.StringIO) -> None:
    before = logging.root.handlers[:]

    log = configure("console", clock=clock, stream=stream)
    assert logging.root.handlers != before
    log.close()

    assert logging.root.handlers == before
