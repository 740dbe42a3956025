"""What a person did with a case that is still open: approved it, or put it off.

Frozen, as every revision is.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from reconciler.ledger.migrations import once

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two columns."""
    digest = sa.String(64).with_variant(
        mysql.VARCHAR(64, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )
    once.add_column("cases", sa.Column("approved_digest", digest))
    once.add_column("cases", sa.Column("snoozed_until", sa.BigInteger))
