"""The statements that doctor names: for each kind of server, quoted where they have to be."""

from __future__ import annotations

import pytest

from reconciler.shops.sql.grants import GRANTS
from reconciler.shops.sql.inspection import Use

ORDERS = Use("sales_slip", "shop", ("stage", "gw_ref", "paid_on"))
TRIES = Use("payment_try", "shop")


@pytest.mark.parametrize(
    ("kind", "who", "whom"),
    [
        ("mysql", "rc@127.0.0.1", "'rc'@'127.0.0.1'"),
        ("mysql", "o'brien@%", "'o''brien'@'%'"),
        ("mysql", "a@b@localhost", "'a@b'@'localhost'"),
        ("postgresql", "rc", "rc"),
        ("postgresql", "Rec-1", '"Rec-1"'),
    ],
)
def test_each_table_has_a_statement_of_its_own_and_the_user_is_quoted(kind: str, who: str, whom: str) -> None:
    usage = f"GRANT USAGE ON SCHEMA shop TO {whom}; " if kind == "postgresql" else ""
    assert GRANTS[kind].to(who, [ORDERS, TRIES]) == (
        f"{usage}GRANT SELECT, UPDATE (stage, gw_ref, paid_on) ON shop.sales_slip TO {whom}; "
        f"GRANT SELECT ON shop.payment_try TO {whom};"
    )


@pytest.mark.parametrize(("kind", "quote"), [("mysql", "`"), ("postgresql", '"')])
def test_names_are_quoted_where_the_server_would_misread_them(kind: str, quote: str) -> None:
    said = GRANTS[kind].to("rc@h", [Use("order", "my-shop", ("status", "Paid At"))])
    assert f"UPDATE (status, {quote}Paid At{quote}) ON {quote}my-shop{quote}.{quote}order{quote} TO" in said


def test_whoever_may_do_more_is_left_as_it_is_and_another_user_is_made() -> None:
    assert GRANTS["mysql"].own_user("root@localhost", [TRIES]) == (
        "CREATE USER 'reconciler'@'localhost' IDENTIFIED BY '…'; "
        "GRANT SELECT ON shop.payment_try TO 'reconciler'@'localhost';"
    )
    assert GRANTS["postgresql"].own_user("postgres", [Use("payment_try", "public")]) == (
        "CREATE USER reconciler PASSWORD '…'; GRANT SELECT ON public.payment_try TO reconciler;"
    )
    assert "'reconciler2'@'%'" in GRANTS["mysql"].own_user("reconciler@%", [TRIES])
