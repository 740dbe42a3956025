"""What whoever administers the shop's database pastes into it: the rights that are needed, and no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from sqlalchemy.dialects import mysql, postgresql

from reconciler.shops.sql.inspection import Use

OWN_USER: Final = "reconciler"
PUBLIC: Final = "public"


class Grants(Protocol):
    """The statements of one kind of server."""

    def to(self, who: str, uses: Sequence[Use]) -> str:
        """Give a user the rights that it needs on each table."""
        ...

    def own_user(self, who: str, uses: Sequence[Use]) -> str:
        """Make another user than this one, with these rights alone: this one may be the shop's own."""
        ...


class MysqlGrants:
    """MySQL and MariaDB: a user is a name at a host."""

    def to(self, who: str, uses: Sequence[Use]) -> str:
        """Give the statements."""
        return granted(uses, _mysql_account(who), mysql.dialect().identifier_preparer.quote)

    def own_user(self, who: str, uses: Sequence[Use]) -> str:
        """Give the statements."""
        name, _, host = who.rpartition("@")
        account = f"{_another(name)}@{host}"
        return f"CREATE USER {_mysql_account(account)} IDENTIFIED BY '…'; {self.to(account, uses)}"


class PostgresqlGrants:
    """PostgreSQL: a user sees nothing of a schema that it may not use."""

    def to(self, who: str, uses: Sequence[Use]) -> str:
        """Give the statements."""
        quote = postgresql.dialect().identifier_preparer.quote  # type: ignore[no-untyped-call] # SQLAlchemy has no type for it
        schemas = dict.fromkeys(use.schema for use in uses if use.schema not in {None, PUBLIC})
        usage = [f"GRANT USAGE ON SCHEMA {quote(str(schema))} TO {quote(who)};" for schema in schemas]
        return " ".join([*usage, granted(uses, quote(who), quote)])

    def own_user(self, who: str, uses: Sequence[Use]) -> str:
        """Give the statements."""
        name = _another(who)
        return f"CREATE USER {name} PASSWORD '…'; {self.to(name, uses)}"


GRANTS: Final[Mapping[str, Grants]] = {"mysql": MysqlGrants(), "postgresql": PostgresqlGrants()}
"""By the scheme of the shop's URL. A file knows none."""


def granted(uses: Sequence[Use], whom: str, quote: Callable[[str], str]) -> str:
    """Give the statements for a user whose name is quoted already."""
    statements = []
    for use in uses:
        columns = ", ".join(dict.fromkeys(map(quote, use.written)))
        what = f"SELECT, UPDATE ({columns})" if columns else "SELECT"
        where = ".".join(quote(part) for part in (use.schema, use.name) if part)
        statements.append(f"GRANT {what} ON {where} TO {whom};")
    return " ".join(statements)


def _mysql_account(who: str) -> str:
    """Quote what CURRENT_USER() gives: the name may have an @ in it, the host has none."""
    name, _, host = who.rpartition("@")
    return "@".join("'" + part.replace("\\", "\\\\").replace("'", "''") + "'" for part in (name, host))


def _another(name: str) -> str:
    return OWN_USER if name != OWN_USER else f"{OWN_USER}2"
