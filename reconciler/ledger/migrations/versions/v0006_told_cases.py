"""Who was told of a case (that it opened, that it is still open, that it ended), and what its order amounts to.

Nobody was told by a program before this one: what is open is to be told of. Frozen, as every revision is.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from reconciler.ledger.migrations import once

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and what finds their rows; a second time, the update does no harm."""
    currency = sa.String(8).with_variant(
        mysql.VARCHAR(8, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )
    once.add_column("cases", sa.Column("amount_fen", sa.BigInteger))
    once.add_column("cases", sa.Column("currency", currency))
    once.add_column("cases", sa.Column("untold", sa.BigInteger))
    once.add_column("cases", sa.Column("end_untold", sa.BigInteger))
    once.add_column("cases", sa.Column("told_at", sa.BigInteger))
    once.add_column("cases", sa.Column("remind_at", sa.BigInteger))
    op.execute(sa.text("UPDATE cases SET untold = 0 WHERE open = 1"))
    once.create_index("cases_untold", "cases", ["untold"])
    once.create_index("cases_end_untold", "cases", ["end_untold"])
    once.create_index("cases_remind", "cases", ["remind_at"])
