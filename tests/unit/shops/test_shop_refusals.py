"""Which of a server's errors are the shop's own rules, and which mean that it could not be asked."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError

from reconciler.databases import Postgresql
from reconciler.shops.sql.dialects import DIALECTS
from reconciler.shops.sql.settle import _is_refusal


class PostgresError(Exception):
    """As the driver's: with its state."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("said the server")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    "error",
    [
        IntegrityError("UPDATE", None, Exception("x")),
        DataError("UPDATE", None, Exception("x")),
        DBAPIError("UPDATE", None, PostgresError("22001")),
        DBAPIError("UPDATE", None, PostgresError("23514")),
        DBAPIError("UPDATE", None, PostgresError("P0001")),
        OperationalError("UPDATE", None, Exception(1644, "no")),
        OperationalError("UPDATE", None, Exception(3819, "no")),
        OperationalError("UPDATE", None, Exception(4025, "no")),
    ],
    ids=lambda error: f"{type(error).__name__} {getattr(error.orig, 'sqlstate', error.orig.args[0])}",
)
def test_constraints_triggers_and_misfits_are_refusals(error: DBAPIError) -> None:
    assert any(_is_refusal(error, dialect) for dialect in DIALECTS.values())


@pytest.mark.parametrize(
    "error",
    [
        DBAPIError("UPDATE", None, PostgresError("40P01")),
        DBAPIError("UPDATE", None, PostgresError("57P01")),
        OperationalError("UPDATE", None, Exception(1205, "lock wait")),
        OperationalError("UPDATE", None, Exception("database is locked")),
        OperationalError("UPDATE", None, Exception(1644, "no"), connection_invalidated=True),
        OSError(1644, "no"),
    ],
    ids=repr,
)
def test_what_may_pass_is_none(error: BaseException) -> None:
    assert not any(_is_refusal(error, dialect) for dialect in DIALECTS.values())


def sqlite_error(code: int) -> sqlite3.OperationalError:
    """As the driver's: with its code."""
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        *(("mysql", Exception(code, "said the server")) for code in (1020, 1205, 1213, 3101)),
        *(("postgresql", PostgresError(state)) for state in ("55P03", "40001", "40P01")),
        *(("sqlite", sqlite_error(code)) for code in (5, 6, 261, 517)),
    ],
    ids=lambda value: value if isinstance(value, str) else str(vars(value) or value.args[0]),
)
def test_another_session_in_the_way_is_known_and_a_dead_connection_is_none(kind: str, error: Exception) -> None:
    assert DIALECTS[kind].is_busy(OperationalError("UPDATE", None, error))
    if kind != "sqlite":
        assert not DIALECTS[kind].is_busy(OperationalError("UPDATE", None, error, connection_invalidated=True))


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        *(("mysql", Exception(code, "said the server")) for code in (1644, 1290, 1040, 2013)),
        *(("postgresql", PostgresError(state)) for state in ("40003", "57014", "57P01", "25006", "08006")),
        *(("sqlite", sqlite_error(code)) for code in (1, 8, 10, 11, 13)),
        ("sqlite", Exception("database is locked")),
    ],
    ids=lambda value: value if isinstance(value, str) else str(vars(value) or value.args[0]),
)
def test_nothing_else_is_a_busy_row(kind: str, error: Exception) -> None:
    assert not DIALECTS[kind].is_busy(OperationalError("UPDATE", None, error))


def test_a_commit_whose_completion_is_unknown_was_not_rolled_back() -> None:
    server = Postgresql()
    assert server.is_rolled_back(DBAPIError("COMMIT", None, PostgresError("40001")))
    assert not server.is_rolled_back(DBAPIError("COMMIT", None, PostgresError("40003")))
