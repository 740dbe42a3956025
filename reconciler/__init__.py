"""Reconciler: finds orders that were paid but never confirmed, and moves them forward exactly once."""

__version__ = "0.1.0"
