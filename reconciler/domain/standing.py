"""A channel's standing, as a closed set: what keeps it from being asked, or its answers from being worth much."""

from __future__ import annotations

from enum import Enum
from typing import assert_never

from reconciler.domain.answer import (
    Answer,
    Closed,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Throttled,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
)


class Standing(Enum):
    """What is the matter with a channel. Several may be at once; none: it is well, as far as is known."""

    BY_HAND = "paused_by_hand"
    MISCONFIGURED = "paused_misconfigured"
    """The gateway refuses who we are."""
    UNTRUSTED = "paused_untrusted"
    """Answers about several orders prove nothing."""
    REFUSED = "paused_refused"
    """Different orders in a row could not be asked about."""
    CLOCK = "paused_clock"
    UNAVAILABLE = "unavailable"
    BREAKER_OPEN = "breaker_open"
    THROTTLED = "throttled"
    IN_DOUBT = "in_doubt"
    """It knows none of our numbers."""


KEEPS_FROM_ASKING = frozenset(
    {
        Standing.BY_HAND,
        Standing.MISCONFIGURED,
        Standing.UNTRUSTED,
        Standing.REFUSED,
        Standing.CLOCK,
        Standing.UNAVAILABLE,
        Standing.BREAKER_OPEN,
    }
)
"""Orders of a channel with one of these wait; of any other they are asked about, if slowly."""


def pause_after(answer: Answer, *, by_clock: bool) -> Standing:
    """Say what a pause is for that this answer led to. A clock that is off explains most of what else is said."""
    if by_clock:
        return Standing.CLOCK
    match answer:
        case Untrusted():
            return Standing.UNTRUSTED
        case Rejected():
            return Standing.REFUSED
        case Misconfigured():
            return Standing.MISCONFIGURED
        case Paid() | Refunded() | Unpaid() | NotCreated() | Closed() | Unavailable() | Throttled() | Unrecognised():
            return Standing.CLOCK  # of these only a clock makes a pause
        case _:
            assert_never(answer)
