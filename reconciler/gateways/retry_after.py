"""Retry-After, as far as we heed it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from reconciler.domain.answer import Throttled
from reconciler.transport import HttpResponse

AFTER_MAX: Final = timedelta(minutes=5)
_SECONDS = re.compile(r"\d{1,9}", re.ASCII)


def throttled(response: HttpResponse) -> Throttled:
    """Read how long a 429 wants us to wait: whole seconds, five minutes at most. A date is not heeded."""
    text = (response.header("retry-after") or "").strip()
    if not _SECONDS.fullmatch(text) or not int(text):
        return Throttled()
    return Throttled(min(timedelta(seconds=int(text)), AFTER_MAX))
