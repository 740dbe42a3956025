"""The figures for Prometheus. No personal data, and labels only of closed sets: channels, answers, kinds, reasons.

Every series is there from the start, so that an alert rule never waits for a first time. docs/reference/metrics.md has
them all, generated from here and from docs/parts/metrics.toml.
"""

from reconciler.ops.metrics.daemon import LOOPS, Loop, Part
from reconciler.ops.metrics.metrics import Metrics
from reconciler.ops.metrics.settling import Braking, PausedBy

__all__ = ["LOOPS", "Braking", "Loop", "Metrics", "Part", "PausedBy"]
