"""Whether a mapping fits the database: each look-up and each check notes what is wrong, in one line."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import Connection, TableClause, TextClause, literal, select, text
from sqlalchemy.exc import DBAPIError

from reconciler.domain.order import NUMBER_LENGTH_MAX
from reconciler.shops.sql.columns import Column, Kind
from reconciler.shops.sql.engine import text_of_error
from reconciler.shops.sql.mapping import StateValue
from reconciler.shops.sql.schema import Reflected, among, reflect

TRANSACTION_ID_LENGTH_MIN = 28
"""Both gateways' transaction numbers have 28 digits today; a shorter column can hold none of them."""


@dataclass(slots=True)
class Fitting:
    """The problems found so far, and the connection to find more with."""

    connection: Connection
    problems: list[str] = field(default_factory=list)

    def table(self, setting: str, name: str) -> Reflected | None:
        """Find a table."""
        found = reflect(self.connection, name)
        if isinstance(found, str):
            self.problems.append(f"{setting}: {found}")
            return None
        return found

    def column(self, setting: str, table: Reflected, name: str) -> Column | None:
        """Find a column of a table."""
        column = table.columns.get(name)
        if column is None:
            self.problems.append(
                f"{setting}: no column `{name}` in table {table.name}; it has: {among(name, list(table.columns))}"
            )
        return column

    def optional(self, setting: str, table: Reflected, name: str | None) -> Column | None:
        """Find a column, where one is mapped."""
        return self.column(setting, table, name) if name else None

    def unique(self, setting: str, table: Reflected, name: str) -> None:
        """Note a key that is not unique."""
        if name in table.columns and name not in table.unique:
            self.problems.append(f"{setting}: {name} is neither the primary key of {table.name} nor unique by itself")
        elif name in table.columns and table.columns[name].kind in {Kind.BINARY, Kind.FLOAT}:
            self.problems.append(
                f"{setting}: {name} is {table.columns[name].declared}; a key is an integer, a text or a UUID"
            )

    def amount(self, setting: str, column: Column | None) -> None:
        """Note a column that cannot hold exact amounts."""
        if column is None:
            return
        if column.kind is Kind.FLOAT:
            self.problems.append(
                f"{setting}: {column.name} is {column.declared}: floating point keeps no exact amounts, and comparing "
                "it when settling can fail or match by accident; make it DECIMAL(12,2), or keep fen in BIGINT"
            )
        elif column.kind in {Kind.BOOLEAN, Kind.BITS, Kind.MOMENT, Kind.DATE} or not column.holds_names:
            self.problems.append(f"{setting}: {column.name} is {column.declared}, which holds no amount")

    def names(self, at: str, roles: dict[str, Column | None]) -> None:
        """Note columns that cannot hold what orders and payments are called."""
        for role, column in roles.items():
            if column is not None and not column.holds_names:
                self.problems.append(
                    f"{at}.{role}: {column.name} is {column.declared}; a number is kept as text, or as a whole number"
                )

    def alike(self, setting: str, view: Column | None, table: Column | None) -> None:
        """Note a column of the view that the guard cannot compare with the table's own of that name."""
        if view is not None and table is not None and view.kind is not table.kind:
            self.problems.append(
                f"{setting}: {view.name} is {view.declared} in the view and {table.declared} in the table; "
                "what is read must be what the table holds, for the guard compares it when settling"
            )

    def moments(self, at: str, roles: dict[str, Column | None], touch: list[Column | None]) -> None:
        """Note columns that hold no times."""
        named = [*roles.items(), *(("touch", column) for column in touch)]
        for role, column in named:
            if column is not None and column.kind in {Kind.DATE, Kind.FLOAT, Kind.BOOLEAN, Kind.BITS}:
                self.problems.append(
                    f"{at}.{role}: {column.name} is {column.declared}; it takes a date-time, "
                    "or unix seconds in an integer column"
                )

    def transaction_id(self, column: Column | None) -> None:
        """Note a column that no transaction number fits into."""
        setting = "shop.orders.transaction_id"
        if column is None or (column.kind is Kind.OTHER and column.is_loose):
            return
        if column.kind is not Kind.TEXT:
            self.problems.append(
                f"{setting}: {column.name} is {column.declared}; a transaction number has 28 digits: text"
            )
        elif column.length is not None and column.length < TRANSACTION_ID_LENGTH_MIN:
            self.problems.append(
                f"{setting}: {column.name} takes {column.length} characters; transaction numbers have "
                f"{TRANSACTION_ID_LENGTH_MIN} and more: make it VARCHAR({NUMBER_LENGTH_MAX})"
            )

    def where(self, setting: str, predicate: str | None, *tables: Reflected) -> TextClause | None:
        """Make a clause of the operator's predicate, tried on each table that it will run against."""
        if not predicate or not predicate.strip():
            return None
        if not _is_closed(predicate):
            self.problems.append(f"{setting}: its brackets or quotes do not match: {predicate}")
            return None
        # a colon is the operator's own, never a parameter; the line break ends a trailing comment
        clause = text("(" + predicate.replace(":", r"\:") + "\n)")
        for sql in dict.fromkeys(table.sql for table in tables):
            if problem := self._refusal(clause, sql):
                self.problems.append(f"{setting}: the database says of {sql.name}: {problem}")
                return None
        return clause

    def _refusal(self, clause: TextClause, table: TableClause) -> str | None:
        try:
            with self.connection.begin_nested():
                self.connection.execute(select(literal(1)).select_from(table).where(clause).limit(0))
        except DBAPIError as error:
            return text_of_error(error, self.connection)
        return None

    def forms(self, setting: str, column: Column, value: StateValue) -> tuple[object, ...]:
        """Give a configured value as the column holds it; none, noted, where it cannot."""
        try:
            return column.forms(value)
        except ValueError as error:
            self.problems.append(f"{setting}: {error} ({column.name} is {column.declared})")
            return ()

    def shows(self, setting: str, column: Column, value: StateValue) -> str:
        """Give a configured value as the column would show it."""
        forms = self.forms(setting, column, value)
        return (column.text(forms[0]) or "") if forms else str(value)


def _is_closed(predicate: str) -> bool:
    """Whether a predicate stays within the brackets we put round it."""
    depth = 0
    quote = ""
    for character in predicate:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"`":
            quote = character
        elif character == ";":
            return False
        else:
            depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0 and not quote
