"""The operator's door to a running leader: where it is, how a command knocks, and what the leader does when it does."""

from typing import Final

NOTE_LENGTH_MAX: Final = 1000
"""Characters of what a person writes about a case."""
