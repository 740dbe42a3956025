"""What every ledger must do, whatever it is kept in: a suite for the double and for every database.

Subclass `LedgerConformance` in a test module, as `TestMyLedger`, and override the fixture `bench`.
"""

from __future__ import annotations

from reconciler.testing.ledger_conformance_cases import CaseConformance
from reconciler.testing.ledger_conformance_figures import FiguresConformance
from reconciler.testing.ledger_conformance_history import HistoryConformance
from reconciler.testing.ledger_conformance_settling import SettlingConformance
from reconciler.testing.ledger_conformance_telling import TellingConformance
from reconciler.testing.ledger_conformance_watches import WatchConformance
from reconciler.testing.ledger_examples import Bench

__all__ = ["Bench", "LedgerConformance"]


class LedgerConformance(
    WatchConformance, SettlingConformance, CaseConformance, TellingConformance, HistoryConformance, FiguresConformance
):
    """The suite."""
