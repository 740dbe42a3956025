"""An index by which the brake counts what was settled lately."""

from reconciler.ledger.migrations import once

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    once.create_index("intentions_concluded", "intentions", ["outcome", "concluded_at"])
