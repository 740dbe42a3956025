"""What should not happen at a seam.

PortError
├── ShopUnavailable     cannot be reached or asked; nothing was written; wait and try again
├── LockLost            the shop's lock or the connection that held it is gone: settle nothing more
├── LedgerUnavailable   cannot be written (disk full, locked, gone): decide nothing, wait and try again
└── Overtaken           another daemon has written the ledger since: end the process
"""


class PortError(Exception):
    """Something beyond our walls failed; the text says what and what follows."""


class ShopUnavailable(PortError):
    """The shop's database cannot be reached or asked. Nothing was written."""


class LockLost(PortError):
    """The shop's lock is gone, or the connection that held it: this process may settle nothing more."""


class LedgerUnavailable(PortError):
    """The ledger cannot be read or written now. What was being written is not in it."""


class Overtaken(PortError):
    """The ledger's epoch or the chain's head is not where we left it: another daemon leads."""
