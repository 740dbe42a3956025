"""Which zone the times are of that a session shows."""

from __future__ import annotations

from datetime import UTC, tzinfo

from sqlalchemy import Connection

ZONE = "reconciler_zone"
"""Execution option of an engine whose sessions show some times in a zone of theirs: of which zone those are."""


def zone_of(connection: Connection) -> tzinfo:
    """Give the zone of what a connection's session shows; UTC where it does not matter."""
    zone: tzinfo = connection.get_execution_options().get(ZONE, UTC)
    return zone
