"""Our own tamper-evident store: SQLite by default, PostgreSQL or MySQL by URL.

`reconciler.ledger.verify` stands apart: whoever only reads or writes a ledger needs none of its cryptography.
"""

from reconciler.ledger.memory import LedgerMemory
from reconciler.ledger.store import SqlLedger, open_ledger

__all__ = ["LedgerMemory", "SqlLedger", "open_ledger"]
