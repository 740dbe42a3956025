"""The first tables.

Frozen: what tables.py says may move on, this does not. A test compares the two.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

from reconciler.ledger.migrations import once

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table, and the mark that the epoch is kept under: the row that writers lock."""
    once.create_table(
        "marks",
        sa.Column("name", _exact(128), primary_key=True),
        sa.Column("value", _exact(255), nullable=False),
    )

    once.create_table(
        "watches",
        sa.Column("id", _row_id(), primary_key=True, autoincrement=True),
        sa.Column("order_key", _exact(255), nullable=False),
        sa.Column("order_no", _exact(255), nullable=False),
        sa.Column("channel", _exact(128), nullable=False),
        sa.Column("out_trade_no", _exact(255), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("amount_fen", sa.BigInteger),
        sa.Column("currency", _exact(8)),
        sa.Column("next_ask_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("leased_until", sa.BigInteger),
        sa.Column("interruptions", sa.Integer, nullable=False),
        sa.Column("last_answered_at", sa.BigInteger),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("untrusted_run", sa.Integer, nullable=False),
        sa.Column("last_decision", _exact(64), nullable=False),
        sa.Column("why", _long_text(), nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("asks", _long_text(), nullable=False),
        sa.Column("last_verified", _exact(64)),
        sa.Column("transaction_id", _exact(255)),
        sa.Column("was_paid", sa.Boolean, nullable=False),
        sa.UniqueConstraint("order_key", "channel", "out_trade_no", name="watches_attempt"),
        sqlite_autoincrement=True,
    )
    once.create_index("watches_due", "watches", ["channel", "due_at", "created_at", "interruptions"])
    once.create_index("watches_leased", "watches", ["leased_until"])
    once.create_index("watches_decision", "watches", ["last_decision"])
    once.create_index("watches_order_no", "watches", ["order_no"])
    once.create_index("watches_out_trade_no", "watches", ["out_trade_no"])
    once.create_index("watches_ended", "watches", ["ended_at"])
    once.create_table(
        "intentions",
        sa.Column("id", _exact(64), primary_key=True),
        sa.Column("share", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("order_key", _exact(255), nullable=False),
        sa.Column("order_no", _exact(255), nullable=False),
        sa.Column("channel", _exact(128), nullable=False),
        sa.Column("out_trade_no", _exact(255), nullable=False),
        sa.Column("transaction_id", _exact(255), nullable=False),
        sa.Column("amount_fen", sa.BigInteger, nullable=False),
        sa.Column("currency", _exact(8), nullable=False),
        sa.Column("paid_at", sa.BigInteger, nullable=False),
        sa.Column("why", _long_text(), nullable=False),
        sa.Column("begun_at", sa.BigInteger, nullable=False),
        sa.Column("evidence_digest", _exact(64)),
        sa.Column("outcome", _exact(32)),
        sa.Column("concluded_at", sa.BigInteger),
        sa.Column("ending", _long_text()),
        sa.Column("open_order", _exact(255)),
        sa.Column("claim", sa.SmallInteger),
        sa.UniqueConstraint("open_order", name="intentions_open"),
        sa.UniqueConstraint("transaction_id", "channel", "share", "claim", name="intentions_payment"),
    )
    once.create_index("intentions_order", "intentions", ["order_key"])
    once.create_table(
        "cases",
        sa.Column("id", _row_id(), primary_key=True, autoincrement=True),
        sa.Column("kind", _exact(64), nullable=False),
        sa.Column("order_key", _exact(255), nullable=False),
        sa.Column("order_no", _exact(255), nullable=False),
        sa.Column("channel", _exact(128)),
        sa.Column("out_trade_no", _exact(255), nullable=False),
        sa.Column("why", _long_text(), nullable=False),
        sa.Column("facts", _long_text(), nullable=False),
        sa.Column("facts_digest", _exact(64), nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("repeated", sa.Integer, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("ending", _long_text(), nullable=False),
        sa.Column("final", sa.Boolean, nullable=False),
        sa.Column("resolved_digest", _exact(64)),
        sa.Column("open", sa.SmallInteger),
        sa.UniqueConstraint("order_key", "kind", "open", name="cases_open_one"),
        sqlite_autoincrement=True,
    )
    once.create_index("cases_open", "cases", ["open", "id"])
    once.create_table(
        "entries",
        sa.Column("id", _row_id(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", _exact(64), nullable=False),
        sa.Column("order_key", _exact(255)),
        sa.Column("order_no", _exact(255), nullable=False),
        sa.Column("channel", _exact(128)),
        sa.Column("out_trade_no", _exact(255), nullable=False),
        sa.Column("body", _long_text(), nullable=False),
        sa.Column("evidence_digest", _exact(64)),
        sa.Column("previous", _exact(64), nullable=False),
        sa.Column("hash", _exact(64), nullable=False),
    )
    once.create_index("entries_order_key", "entries", ["order_key"])
    once.create_index("entries_order_no", "entries", ["order_no"])
    once.create_index("entries_out_trade_no", "entries", ["out_trade_no"])
    once.create_index("entries_evidence", "entries", ["evidence_digest"])
    once.create_table(
        "evidence",
        sa.Column("digest", _exact(64), primary_key=True),
        sa.Column("gateway", _exact(128), nullable=False),
        sa.Column("request", _long_text(), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("headers", _long_text(), nullable=False),
        sa.Column("body", _long_bytes(), nullable=False),
        sa.Column("key_fingerprint", _exact(64)),
        sa.Column("received_at", _exact(64), nullable=False),
        sa.Column("used_at", sa.BigInteger, nullable=False),
    )
    once.create_index("evidence_used", "evidence", ["used_at"])
    once.create_index("evidence_key", "evidence", ["key_fingerprint"])
    once.create_table(
        "verifying_keys",
        sa.Column("fingerprint", _exact(64), primary_key=True),
        sa.Column("pem", _long_text(), nullable=False),
    )

    # With the revision's number in one transaction everywhere: neither is there without the other.
    op.execute(sa.text("INSERT INTO marks (name, value) VALUES ('epoch', '0')"))


def downgrade() -> None:
    """Refuse: a ledger is never taken apart."""
    raise NotImplementedError("a ledger is never taken apart: restore the backup instead")


def _exact(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def _long_text() -> TypeEngine[str]:
    return sa.Text().with_variant(mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")


def _long_bytes() -> TypeEngine[bytes]:
    return sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def _row_id() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")
