"""Gateways and a shop to play with, on this machine.

The gateways sign for real, and verify for real what they are sent, by code of their own: a fault in the adapters
cannot hide behind the same fault here.
"""
