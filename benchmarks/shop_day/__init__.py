"""A shop's day, and what different rules of asking make of it."""
