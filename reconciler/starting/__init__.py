"""A first configuration from a shop's schema: guesses, each with what it rests on. Nothing is written to the shop."""

from reconciler.starting.configuration import Reached, first_configuration
from reconciler.starting.guess import NotGuessed, Proposal, propose
from reconciler.starting.survey import survey

__all__ = ["NotGuessed", "Proposal", "Reached", "first_configuration", "propose", "survey"]
