"""Doubles of every port and the conformance suites: for our own tests, and for whoever writes an adapter."""
