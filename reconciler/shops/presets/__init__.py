"""Mappings of shops that many people run, as data: `shop.preset = "NAME"` starts from one (settings/preset.py)."""
