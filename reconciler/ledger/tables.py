"""The ledger's tables, the same on SQLite, PostgreSQL and MySQL or MariaDB.

Times are whole microseconds since 1970 UTC in integers: they sort and range alike everywhere. Where uniqueness holds
only among some rows (partial indexes do not exist on MySQL), a nullable column is part of the unique index: it holds a
value in the rows that count and NULL in the rest.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

metadata = MetaData()

NAME_LENGTH = 128
NUMBER_LENGTH = 255
HASH_LENGTH = 64


def exact(length: int) -> TypeEngine[str]:
    """Give a text type in which `a` is not `A`: MySQL's default collations say otherwise."""
    return String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def long_text() -> TypeEngine[str]:
    """Give a text type for JSON and words: 16 MiB on MySQL, whose TEXT ends at 64 KiB."""
    return Text().with_variant(mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")


def long_bytes() -> TypeEngine[bytes]:
    """Give a type for bodies as they arrived."""
    return LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def _row_id() -> TypeEngine[int]:
    return BigInteger().with_variant(Integer(), "sqlite")


marks = Table(
    "marks",
    metadata,
    Column("name", exact(NAME_LENGTH), primary_key=True),
    Column("value", long_text(), nullable=False),
    mysql_engine="InnoDB",
)

watches = Table(
    "watches",
    metadata,
    Column("id", _row_id(), primary_key=True, autoincrement=True),
    Column("order_key", exact(NUMBER_LENGTH), nullable=False),
    Column("order_no", exact(NUMBER_LENGTH), nullable=False),
    Column("channel", exact(NAME_LENGTH), nullable=False),
    Column("out_trade_no", exact(NUMBER_LENGTH), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("amount_fen", BigInteger),
    Column("currency", exact(8)),
    Column("next_ask_at", BigInteger, nullable=False),
    # When it may be leased: next_ask_at, or the end of the lease that it is under; NULL once it has ended.
    Column("due_at", BigInteger),
    Column("leased_until", BigInteger),
    # Leases in a row that no update has ended: the present one, and those that a crash cut short.
    Column("interruptions", Integer, nullable=False),
    Column("last_answered_at", BigInteger),
    Column("failures", Integer, nullable=False),
    Column("untrusted_run", Integer, nullable=False),
    Column("last_decision", exact(64), nullable=False),
    Column("why", long_text(), nullable=False),
    Column("ended_at", BigInteger),
    Column("asks", long_text(), nullable=False),
    Column("last_verified", exact(64)),
    Column("transaction_id", exact(NUMBER_LENGTH)),
    # Whether the shop's row was ever seen beyond payment: never taken back.
    Column("was_paid", Boolean, nullable=False),
    UniqueConstraint("order_key", "channel", "out_trade_no", name="watches_attempt"),
    Index("watches_due", "channel", "due_at", "created_at", "interruptions"),
    Index("watches_leased", "leased_until"),
    Index("watches_decision", "last_decision"),
    Index("watches_order_no", "order_no"),
    Index("watches_out_trade_no", "out_trade_no"),
    Index("watches_ended", "ended_at"),
    sqlite_autoincrement=True,  # the number of a pruned watch never comes back
    mysql_engine="InnoDB",
)

intentions = Table(
    "intentions",
    metadata,
    Column("id", exact(HASH_LENGTH), primary_key=True),
    # 0 to n-1: the orders of one declared group share a payment.
    Column("share", SmallInteger, primary_key=True, autoincrement=False),
    Column("order_key", exact(NUMBER_LENGTH), nullable=False),
    Column("order_no", exact(NUMBER_LENGTH), nullable=False),
    Column("channel", exact(NAME_LENGTH), nullable=False),
    Column("out_trade_no", exact(NUMBER_LENGTH), nullable=False),
    Column("transaction_id", exact(NUMBER_LENGTH), nullable=False),
    Column("amount_fen", BigInteger, nullable=False),
    Column("currency", exact(8), nullable=False),
    Column("paid_at", BigInteger, nullable=False),
    Column("why", long_text(), nullable=False),
    Column("begun_at", BigInteger, nullable=False),
    Column("evidence_digest", exact(HASH_LENGTH)),
    Column("outcome", exact(32)),
    Column("concluded_at", BigInteger),
    Column("ending", long_text()),
    # The order's key while it is open, NULL after: one open intention per order.
    Column("open_order", exact(NUMBER_LENGTH)),
    # 1 while the payment is being, or has been, spent on an order; NULL where nothing was moved.
    Column("claim", SmallInteger),
    UniqueConstraint("open_order", name="intentions_open"),
    UniqueConstraint("transaction_id", "channel", "share", "claim", name="intentions_payment"),
    Index("intentions_order", "order_key"),
    Index("intentions_concluded", "outcome", "concluded_at"),
    mysql_engine="InnoDB",
)

cases = Table(
    "cases",
    metadata,
    Column("id", _row_id(), primary_key=True, autoincrement=True),
    Column("kind", exact(64), nullable=False),
    Column("order_key", exact(NUMBER_LENGTH), nullable=False),
    Column("order_no", exact(NUMBER_LENGTH), nullable=False),
    Column("channel", exact(NAME_LENGTH)),
    Column("out_trade_no", exact(NUMBER_LENGTH), nullable=False),
    Column("why", long_text(), nullable=False),
    Column("facts", long_text(), nullable=False),
    Column("facts_digest", exact(HASH_LENGTH), nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("repeated", Integer, nullable=False),
    Column("ended_at", BigInteger),
    Column("ending", long_text(), nullable=False),
    Column("final", Boolean, nullable=False),
    # The facts_digest that a person has resolved: the same facts stay silent from then on.
    Column("resolved_digest", exact(HASH_LENGTH)),
    # The facts_digest that a person has waved through; NULL again where the facts have changed since.
    Column("approved_digest", exact(HASH_LENGTH)),
    Column("snoozed_until", BigInteger),
    # 1 while it is open, NULL after: one open case per order and kind.
    Column("open", SmallInteger),
    # The order's, when the case was opened.
    Column("amount_fen", BigInteger),
    Column("currency", exact(8)),
    # The number of the entry that opened it, until a target took the news of it; 0 for what was open before v0006.
    Column("untold", BigInteger),
    # The number of the entry that ended it, until a target took that news; NULL where nobody was told that it opened.
    Column("end_untold", BigInteger),
    Column("told_at", BigInteger),
    # When somebody is to be reminded of it: a day after it was told of, not before snoozed_until; NULL once it ended.
    Column("remind_at", BigInteger),
    UniqueConstraint("order_key", "kind", "open", name="cases_open_one"),
    Index("cases_open", "open", "id"),
    Index("cases_untold", "untold"),
    Index("cases_end_untold", "end_untold"),
    Index("cases_remind", "remind_at"),
    sqlite_autoincrement=True,
    mysql_engine="InnoDB",
)

entries = Table(
    "entries",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", exact(64), nullable=False),
    Column("order_key", exact(NUMBER_LENGTH)),
    Column("order_no", exact(NUMBER_LENGTH), nullable=False),
    Column("channel", exact(NAME_LENGTH)),
    Column("out_trade_no", exact(NUMBER_LENGTH), nullable=False),
    Column("body", long_text(), nullable=False),
    Column("evidence_digest", exact(HASH_LENGTH)),
    Column("previous", exact(HASH_LENGTH), nullable=False),
    Column("hash", exact(HASH_LENGTH), nullable=False),
    Index("entries_order_key", "order_key"),
    Index("entries_order_no", "order_no"),
    Index("entries_out_trade_no", "out_trade_no"),
    Index("entries_evidence", "evidence_digest"),
    mysql_engine="InnoDB",
)

evidence = Table(
    "evidence",
    metadata,
    Column("digest", exact(HASH_LENGTH), primary_key=True),
    Column("gateway", exact(NAME_LENGTH), nullable=False),
    Column("request", long_text(), nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", long_text(), nullable=False),
    Column("body", long_bytes(), nullable=False),
    Column("key_fingerprint", exact(HASH_LENGTH)),
    # ISO 8601 with its own offset, to the letter: the digest covers it.
    Column("received_at", exact(64), nullable=False),
    # The time of the newest entry that rests on it: what pruning goes by.
    Column("used_at", BigInteger, nullable=False),
    Index("evidence_used", "used_at"),
    Index("evidence_key", "key_fingerprint"),
    mysql_engine="InnoDB",
)

verifying_keys = Table(
    "verifying_keys",
    metadata,
    Column("fingerprint", exact(HASH_LENGTH), primary_key=True),
    Column("pem", long_text(), nullable=False),
    mysql_engine="InnoDB",
)
