"""Our own tamper-evident store: SQLite by default, PostgreSQL or MySQL by URL."""

from reconciler.ledger.memory import LedgerMemory
from reconciler.ledger.store import SqlLedger, open_ledger
from reconciler.ledger.verify import Verification, verify

__all__ = ["LedgerMemory", "SqlLedger", "Verification", "open_ledger", "verify"]
