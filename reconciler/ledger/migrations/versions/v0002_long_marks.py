"""Marks hold longer texts: what a gateway remembers (platform certificates) is longer than a name.

Frozen, as every revision is.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Widen the value. SQLite makes the table anew; it has a few rows."""
    long_text = sa.Text().with_variant(mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")
    with op.batch_alter_table("marks") as marks:
        marks.alter_column("value", existing_type=sa.String(255), type_=long_text, existing_nullable=False)
