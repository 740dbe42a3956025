"""What should not happen at a seam.

PortError
├── ShopUnavailable     cannot be reached or asked; nothing was written; wait and try again
│   ├── ReplicaUnavailable  only where finding reads: what is watched goes on
│   ├── RowBusy             somebody else holds this one order's row: try it again soon, everything else goes on
│   └── ShopReadOnly        no order can be written (no right, a read-only server, no room): settling waits as a whole
├── LockLost            the shop's lock or the connection that held it is gone: settle nothing more
├── LedgerUnavailable   cannot be written (disk full, locked, gone): decide nothing, wait and try again
└── Overtaken           another daemon has written the ledger since: end the process
"""


class PortError(Exception):
    """Something beyond our walls failed; the text says what and what follows."""


class ShopUnavailable(PortError):
    """The shop's database cannot be reached or asked. Nothing was written."""


class ReplicaUnavailable(ShopUnavailable):
    """The replica that finding reads is away. New orders wait to be found; everything else is done on the primary."""


class RowBusy(ShopUnavailable):
    """Another session kept the row locked, or won a deadlock over it. The transaction was rolled back."""


class ShopReadOnly(ShopUnavailable):
    """The database answers, and lets us write no order; the text says the remedy. The transaction was rolled back."""


class LockLost(PortError):
    """The shop's lock is gone, or the connection that held it: this process may settle nothing more."""


class LedgerUnavailable(PortError):
    """The ledger cannot be read or written now. What was being written is not in it."""


class Overtaken(PortError):
    """The ledger's epoch or the chain's head is not where we left it: another daemon leads."""
