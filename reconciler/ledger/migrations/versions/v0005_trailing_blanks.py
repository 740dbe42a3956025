"""On MySQL and MariaDB `A1` and `A1 ` become two texts, as they are everywhere else.

utf8mb4_bin ignores trailing blanks, and the collation that does not is called otherwise on each. Frozen, as every
revision is.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql.base import MySQLDialect

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("marks", "watches", "intentions", "cases", "entries", "evidence", "verifying_keys")


def upgrade() -> None:
    """Give every text of these tables that collation."""
    dialect = op.get_bind().dialect
    if not isinstance(dialect, MySQLDialect):
        return
    collation = "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"
    for table in TABLES:
        op.execute(sa.text(f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}"))
