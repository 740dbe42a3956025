from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.ops.alerts.last_words import NAME, may_speak


def test_a_process_that_fails_every_few_seconds_says_so_once_an_hour(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    assert may_speak(tmp_path, "KeyError: 'A1'", now)
    assert not may_speak(tmp_path, "KeyError: 'A2'", now + timedelta(minutes=59))
    assert may_speak(tmp_path, "ValueError: x", now + timedelta(minutes=1)), "another fault is another message"
    earlier = (now - timedelta(hours=2)).timestamp()
    os.utime(tmp_path / NAME, (earlier, earlier))
    assert may_speak(tmp_path, "ValueError: x", now)


def test_where_nothing_can_be_kept_it_speaks(tmp_path: Path) -> None:
    for _ in range(2):
        assert may_speak(None, "KeyError", datetime.now(UTC))
        assert may_speak(tmp_path / "none", "KeyError", datetime.now(UTC))
