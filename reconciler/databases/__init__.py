"""What shop and ledger both need of a database server: how it is reached, bounded waits, its errors in words.

One module per kind of server. What only the shop's adapter asks of a database is in `shops.sql.dialects`.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.databases.access import Access, AccessError, Pool, Turn
from reconciler.databases.mysql import Mysql
from reconciler.databases.postgresql import Postgresql
from reconciler.databases.server import Server

SERVERS: Mapping[str, Server] = {"mysql": Mysql(), "postgresql": Postgresql()}
"""By the scheme of the URL, which is SQLAlchemy's name too."""
ALIASES: Mapping[str, str] = {"mariadb": "mysql", "postgres": "postgresql"}
"""Other schemes for the same."""

__all__ = ["ALIASES", "SERVERS", "Access", "AccessError", "Mysql", "Pool", "Postgresql", "Server", "Turn"]
