"""A shop's whole database, byte for byte: to see that nothing changed but what had to."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tests.integration.databases import Database

Cell = tuple[str, str, str]
"""Table, primary key, column."""


@dataclass(frozen=True)
class Snapshot:
    """Every cell of every table as the server stores it, and how each table is made."""

    cells: Mapping[Cell, str]
    tables: Mapping[str, str]

    def changed(self, later: Snapshot) -> set[Cell]:
        """Name every cell that is not as it was, came, or went."""
        places = self.cells.keys() | later.cells.keys()
        return {cell for cell in places if self.cells.get(cell) != later.cells.get(cell)}

    def checksum(self, but: Collection[Cell]) -> str:
        """Sum up everything but these cells: all other rows, all other columns, and the tables themselves."""
        digest = hashlib.sha256(repr(sorted(self.tables.items())).encode())
        for cell in sorted(self.cells.keys() - set(but)):
            digest.update(f"{cell}={self.cells[cell]}\n".encode())
        return digest.hexdigest()


async def snapshot(database: Database) -> Snapshot:
    """Read it all, in the server's own hexadecimal."""
    cells: dict[Cell, str] = {}
    tables: dict[str, str] = {}
    for (table,) in await database.rows("SHOW TABLES"):
        tables[table] = (await database.rows(f"SHOW CREATE TABLE `{table}`"))[0][1]
        columns = [row[0] for row in await database.rows(f"SHOW COLUMNS FROM `{table}`")]
        hexes = ", ".join(f"IFNULL(HEX(CAST(`{column}` AS BINARY)), 'NULL')" for column in columns)
        for key, *values in await database.rows(f"SELECT id, {hexes} FROM `{table}`"):  # noqa: S608 # names of the server's
            cells |= {(table, str(key), column): value for column, value in zip(columns, values, strict=True)}
    return Snapshot(cells, tables)
