"""What only a doctor (or `init`) asks of the shop's database. Its sessions are read-only, whatever the user may do."""

from reconciler.shops.sql.inspection.access import TIMELESS_MAX, Inspection, inspecting
from reconciler.shops.sql.inspection.examiner import Holding, Rights, ServerZone, Use
from reconciler.shops.sql.inspection.plans import Unserved

__all__ = ["TIMELESS_MAX", "Holding", "Inspection", "Rights", "ServerZone", "Unserved", "Use", "inspecting"]
