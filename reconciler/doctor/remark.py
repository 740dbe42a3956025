"""One thing that was looked at, and how it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How a thing is."""

    WELL = "well"
    WARNING = "warning"
    """It works, and may do harm, or fail before long."""
    FAULT = "fault"
    """It does not work, or not as it should."""


@dataclass(frozen=True, slots=True)
class Remark:
    """One line."""

    subject: str
    verdict: Verdict
    text: str
    remedy: str = ""
    """What to do; never empty but where all is well."""


def well(subject: str, text: str) -> Remark:
    """Say that a thing is as it should be."""
    return Remark(subject, Verdict.WELL, text)


def warning(subject: str, text: str, remedy: str) -> Remark:
    """Say what may do harm."""
    return Remark(subject, Verdict.WARNING, text, remedy)


def fault(subject: str, text: str, remedy: str) -> Remark:
    """Say what is wrong."""
    return Remark(subject, Verdict.FAULT, text, remedy)


def apart(text: str, otherwise: str) -> tuple[str, str]:
    """Take a problem and its remedy apart: in our own lines a semicolon stands between them."""
    problem, separator, remedy = text.rpartition("; ")
    return (problem, remedy) if separator else (text, otherwise)
