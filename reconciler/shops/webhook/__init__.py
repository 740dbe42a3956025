"""Settling by the shop's own code: a signed POST that says which payment was confirmed."""
