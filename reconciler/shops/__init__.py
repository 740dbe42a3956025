"""The shop's side: its own database, mapped."""
