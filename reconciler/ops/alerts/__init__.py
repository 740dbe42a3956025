"""Alerts: what is said (words, troubles), to whom (post), and when (the tellers). Apprise is one adapter beneath it."""
