"""Is everything in place? One module per subject; each gives remarks, and none of them writes anywhere.

The shop is read in sessions that refuse to write, the ledger is opened to read, gateways are only asked.
"""

from reconciler.doctor.remark import Remark, Verdict
from reconciler.doctor.visit import visit

__all__ = ["Remark", "Verdict", "visit"]
