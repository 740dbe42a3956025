"""The way an order goes: find, ask, decide, settle. Begin with `rounds`."""
