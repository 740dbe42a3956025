"""How long a database may keep us waiting: every wait for it ends."""

from __future__ import annotations

BUSY_TIMEOUT_S = 5
"""For somebody else's lock: on a row, a table, a file."""
STATEMENT_TIMEOUT_S = 30
"""For a statement (or a commit), on either side of the connection."""
CONNECT_TIMEOUT_S = 10
LOCK_TIMEOUT_S = 10
"""For the answer whether the lock is ours: without one it is taken for lost."""

KEEPALIVE_IDLE_S = 10
KEEPALIVE_INTERVAL_S = 5
KEEPALIVE_PROBES = 3
"""A peer that is gone is found out within 25 s: ours by us, and ours by the server where it lets a session say so."""
UNACKNOWLEDGED_MAX_S = 25
"""Data that nobody acknowledges for so long breaks the connection."""
IDLE_MAX_S = 60
"""MySQL lets no session set keepalive: there the session that holds the lock ends when it was silent for so long."""
