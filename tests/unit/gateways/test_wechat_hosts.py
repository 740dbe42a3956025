"""Which host is asked, and what is worth asking again at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from reconciler.domain.answer import Paid, Unavailable, Untrusted
from reconciler.transport import HttpRequest, TransportFailure
from tests.unit.gateways.wechat_bench import (
    BACKUP,
    HOST,
    KEY_ID,
    NOW,
    PUBLIC,
    TRADE,
    Bench,
    bench,
    refusal,
    settings,
    signed,
)

OTHER = "https://pay.example"


@pytest.fixture
def made(tmp_path: Path) -> Bench:
    made = bench(settings(tmp_path, public_key=True, apiv3_key=False))
    made.office.trade = lambda _, now: signed(TRADE, PUBLIC, KEY_ID, at=now)
    return made


def hosts(made: Bench) -> list[str]:
    return [f"https://{urlsplit(request.url).netloc}" for request in made.wire.sent]


async def test_the_backup_host_takes_over_where_the_first_cannot_be_reached(made: Bench) -> None:
    well = made.office.trade
    assert well is not None
    down = TransportFailure("cannot connect")
    made.office.trade = lambda request, now: down if request.url.startswith(HOST) else well(request, now)
    (reply,) = await made.gateway.ask(["A1"])
    assert isinstance(reply.answer, Paid)
    await made.gateway.ask(["A1"])
    assert hosts(made) == [HOST, BACKUP, BACKUP]


@pytest.mark.parametrize("status", [502, 503])
async def test_a_host_behind_a_broken_proxy_is_left_at_once(made: Bench, status: int) -> None:
    well = made.office.trade
    assert well is not None
    made.office.trade = lambda request, now: (
        refusal(status, "SERVICE_UNAVAILABLE") if request.url.startswith(HOST) else well(request, now)
    )
    (reply,) = await made.gateway.ask(["A1"])
    assert isinstance(reply.answer, Paid)
    assert hosts(made) == [HOST, BACKUP]


async def test_a_list_of_certificates_comes_from_the_backup_host_too(tmp_path: Path) -> None:
    made = bench(settings(tmp_path, public_key=False, apiv3_key=True))
    listed = made.office.listed
    made.office.certificates = lambda request, now: (
        refusal(502) if request.url.startswith(HOST) else listed(request, now)
    )
    (reply,) = await made.gateway.ask(["A1"])
    assert isinstance(reply.answer, Paid)
    assert hosts(made) == [HOST, BACKUP, BACKUP]


@pytest.mark.parametrize("status", [500, 504, 429, 404, 400])
async def test_other_refusals_are_not_asked_again_at_once(made: Bench, status: int) -> None:
    made.office.trade = lambda _request, _now: refusal(status)
    await made.gateway.ask(["A1"])
    assert len(made.wire.sent) == 1


async def test_a_deliberately_false_signature_is_asked_again(made: Bench) -> None:
    answers = [True, False]
    made.office.trade = lambda _, now: signed(TRADE, PUBLIC, KEY_ID, at=now, false=answers.pop(0))
    (reply,) = await made.gateway.ask(["A1"])
    assert isinstance(reply.answer, Paid)
    assert hosts(made) == [HOST, HOST]


async def test_one_that_stays_false_is_untrusted(made: Bench) -> None:
    made.office.trade = lambda _, now: signed(TRADE, PUBLIC, KEY_ID, at=now, false=True)
    (reply,) = await made.gateway.ask(["A1"])
    assert isinstance(reply.answer, Untrusted)
    assert "SIGNTEST" in reply.answer.reason
    assert len(made.wire.sent) == 3


async def test_a_wrong_signature_is_not_asked_again_at_once(made: Bench) -> None:
    made.office.trade = lambda _, now: signed(TRADE, at=now, serial=KEY_ID)
    (reply,) = await made.gateway.ask(["A1"])
    assert isinstance(reply.answer, Untrusted)
    assert len(made.wire.sent) == 1


@pytest.mark.parametrize(
    ("off_s", "said"), [(-400, "the clock here is 400s fast"), (400, "the clock here is 400s slow")]
)
async def test_a_stale_signature_says_whose_clock_is_off_by_how_much(made: Bench, off_s: int, said: str) -> None:
    made.office.trade = lambda _, now: signed(TRADE, PUBLIC, KEY_ID, at=now + timedelta(seconds=off_s))
    (reply,) = await made.gateway.ask(["A1"])
    assert isinstance(reply.answer, Untrusted)
    assert said in reply.answer.reason


async def test_a_signed_time_that_is_no_number_is_untrusted(made: Bench) -> None:
    made.office.trade = lambda _request, _now: signed(TRADE, PUBLIC, KEY_ID, timestamp="noon")
    (reply,) = await made.gateway.ask(["A1"])
    assert reply.answer == Untrusted("the signed time is not a number of seconds")


async def test_both_hosts_down_is_unavailable(made: Bench) -> None:
    made.office.trade = lambda _request, _now: TransportFailure("cannot connect")
    (reply,) = await made.gateway.ask(["A1"])
    assert reply.answer == Unavailable("cannot connect")
    assert hosts(made)[:2] == [HOST, BACKUP]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, [HOST, BACKUP]),
        ({"endpoint": HOST + "/"}, [HOST, BACKUP]),
        ({"backup_endpoint": "off"}, [HOST]),
        ({"backup_endpoint": OTHER}, [HOST, OTHER]),
        ({"endpoint": OTHER}, [OTHER]),
        ({"endpoint": "http://127.0.0.1:1"}, ["http://127.0.0.1:1"]),
        (
            {"endpoint": "http://127.0.0.1:1", "backup_endpoint": "http://127.0.0.1:2"},
            ["http://127.0.0.1:1", "http://127.0.0.1:2"],
        ),
        ({"endpoint": BACKUP, "backup_endpoint": HOST}, [BACKUP, HOST]),
    ],
    ids=range(8),
)
def test_the_backup_host_is_wechats_own_unless_somebody_says_otherwise(
    tmp_path: Path, table: dict[str, str], expected: list[str]
) -> None:
    made = settings(tmp_path, public_key=True, apiv3_key=False, **table)
    assert list(made.endpoints) == expected
    assert list(made.problems()) == []


@pytest.mark.parametrize("backup", ["", "http://pay.example", "api2.mch.weixin.qq.com", "OFF"])
def test_a_backup_host_is_an_endpoint_or_off(tmp_path: Path, backup: str) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path, public_key=True, apiv3_key=False, backup_endpoint=backup)


@pytest.mark.parametrize("backup", [HOST, f"{OTHER}/path"])
def test_a_backup_host_is_another_one_without_a_path(tmp_path: Path, backup: str) -> None:
    made = settings(tmp_path, public_key=True, apiv3_key=False, backup_endpoint=backup)
    assert [name for name, _ in made.problems()] == ["backup_endpoint"]


def test_the_signature_holds_at_either_host(made: Bench) -> None:
    call = made.gateway.query("A1")
    first, second = (call.write(NOW, host) for host in (HOST, BACKUP))
    assert isinstance(first, HttpRequest)
    assert urlsplit(first.url)[2:] == urlsplit(second.url)[2:]
