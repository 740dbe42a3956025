"""PostgreSQL's times, of which Python knows but a part: years from -4713 to 294276, and infinity.

Left to the driver, one row with a mistyped year ends every statement that reads it with an OverflowError. Here such a
value comes as text, which reading a moment refuses for that row alone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001 # TIMESTAMP has no zone
EPOCH_UTC = datetime(2000, 1, 1, tzinfo=UTC)
READABLE = (datetime(1, 1, 3), datetime(9999, 12, 30))  # noqa: DTZ001 # of either kind
"""Times that come as such, in whatever zone."""
BEYOND = "a time beyond the years 1 to 9999"
_TICK = timedelta(microseconds=1)


async def read_every_time(connection: Any) -> None:  # noqa: ANN401 # the driver ships no types
    """Have a new connection of the driver's give every time that the server may hold."""
    for name, epoch in (("timestamp", EPOCH), ("timestamptz", EPOCH_UTC)):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=_writing(epoch), decoder=_reading(epoch), format="tuple"
        )


def _writing(epoch: datetime) -> Callable[[datetime], tuple[int]]:
    return lambda moment: ((moment - epoch) // _TICK,)


def _reading(epoch: datetime) -> Callable[[tuple[int]], datetime | str]:
    def read(kept: tuple[int]) -> datetime | str:
        try:
            return epoch + kept[0] * _TICK
        except OverflowError:
            return BEYOND

    return read
