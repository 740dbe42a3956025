"""Beijing time, as Alipay and many shops write it: local, without offset."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8), "Asia/Shanghai")
"""Fixed: no summer time since 1991 (gateways.md 6)."""
LOCAL_FORMAT = "%Y-%m-%d %H:%M:%S"


def beijing_text(moment: datetime) -> str:
    """Write a moment, to the second."""
    return moment.astimezone(BEIJING).strftime(LOCAL_FORMAT)


def parse_beijing(text: str) -> datetime:
    """Read one. Raises ValueError."""
    return datetime.strptime(text, LOCAL_FORMAT).replace(tzinfo=BEIJING)
