"""Adapters to the payment providers."""
