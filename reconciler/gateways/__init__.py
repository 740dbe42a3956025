"""Adapters to the payment providers."""

from reconciler.gateways.kinds import KINDS, SETTINGS, Kind

__all__ = ["KINDS", "SETTINGS", "Kind"]
