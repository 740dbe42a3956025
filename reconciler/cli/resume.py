"""`reconciler resume`: the other half of `reconciler pause`."""

from __future__ import annotations

from reconciler.cli.pause import resume

__all__ = ["resume"]
