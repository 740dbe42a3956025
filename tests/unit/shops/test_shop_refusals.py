"""Which of a server's errors are the shop's own rules, and which mean that it could not be asked."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError

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
    assert _is_refusal(error)


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
    assert not _is_refusal(error)
