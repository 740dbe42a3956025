"""Times without an offset, where clocks are put forward and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import column, types
from sqlalchemy.dialects import mysql, postgresql

from reconciler.shops.sql.columns import Column
from reconciler.shops.sql.dialects import DIALECTS
from reconciler.shops.sql.moments import is_empty, read_moment, write_moment

NEW_YORK = ZoneInfo("America/New_York")
SHANGHAI = ZoneInfo("Asia/Shanghai")


def made(type_: types.TypeEngine[Any], dialect: str) -> Column:
    return DIALECTS[dialect].column("at", column("at"), type_, UTC)


COLUMNS = [
    made(types.DATETIME(), "sqlite"),
    made(types.TEXT(), "sqlite"),
    made(types.INTEGER(), "sqlite"),
    made(mysql.DATETIME(), "mysql"),
    made(mysql.TIMESTAMP(), "mysql"),
    made(types.BIGINT(), "mysql"),
    made(postgresql.TIMESTAMP(timezone=True), "postgresql"),
    made(postgresql.TIMESTAMP(), "postgresql"),
]


def test_a_time_that_the_clocks_showed_twice_is_the_earlier() -> None:
    assert read_moment(COLUMNS[0], "2026-11-01 01:30:00", NEW_YORK) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


def test_a_time_that_the_clocks_skipped_is_the_earlier_of_the_two_it_may_mean() -> None:
    assert read_moment(COLUMNS[0], "2026-03-08 02:30:00", NEW_YORK) == datetime(2026, 3, 8, 6, 30, tzinfo=UTC)


def test_a_mysql_timestamp_is_read_in_the_sessions_zone_and_a_datetime_in_the_shops() -> None:
    noon = datetime(2026, 3, 1, 12)  # noqa: DTZ001 # as the driver gives it
    assert read_moment(COLUMNS[4], noon, SHANGHAI).hour == 12
    assert read_moment(COLUMNS[3], noon, SHANGHAI).astimezone(UTC).hour == 4


@pytest.mark.parametrize("each", COLUMNS, ids=lambda each: f"{type(each).__name__}-{each.declared}")
@given(moment=st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 # bounds
def test_what_is_written_reads_back_to_the_second(each: Column, moment: datetime) -> None:
    assert read_moment(each, write_moment(each, moment, SHANGHAI), SHANGHAI) == moment.replace(microsecond=0)


@pytest.mark.parametrize("raw", [None, "", 0, "0000-00-00 00:00:00", "0000-00-00 00:00:00.000000"])
def test_what_shops_keep_for_not_yet_is_empty(raw: object) -> None:
    assert is_empty(raw)


def test_a_time_is_not_empty() -> None:
    assert not is_empty("2026-03-01 12:00:00")
    assert not is_empty(1772337600)
