"""Adapters to the payment providers. They come in by entry points: `KINDS` finds them, and nothing names one."""

from reconciler.gateways.kind import Kind
from reconciler.gateways.kinds import KINDS, SETTINGS

__all__ = ["KINDS", "SETTINGS", "Kind"]
