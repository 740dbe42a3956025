"""What objects show of themselves: in a traceback, or in a message that quotes one."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from reconciler.databases import Access
from reconciler.databases.mysql import said_by
from reconciler.domain.answer import Evidence, Reply, Unavailable
from reconciler.shops.webhook.signing import SigningKey
from reconciler.transport import HttpRequest, HttpResponse, Proxies, TransportFailure

NOW = datetime(2026, 11, 23, tzinfo=UTC)
EVIDENCE = Evidence("alipay", "query A1", 200, (), b"planted", None, NOW)
HELD: tuple[object, ...] = (
    EVIDENCE,
    Reply(Unavailable("x"), verified=False, asked_at=NOW, answered_at=NOW, evidence=EVIDENCE),
    HttpRequest("POST", "https://gateway.example/?token=planted", (("Authorization", "planted"),), b"planted"),
    HttpResponse(200, (("x", "planted"),), b"planted"),
    Access("mysql://a@b/c", b"planted", None, None, "shop.url", ZoneInfo("UTC")),
    SigningKey(b"planted"),
    Proxies("http://a:planted@b"),
)


@pytest.mark.parametrize("held", HELD, ids=lambda held: type(held).__name__)
def test_no_secret_and_no_body_is_shown(held: object) -> None:
    assert "planted" not in repr(held)


def test_a_failure_to_answer_quotes_one_line_and_nobody() -> None:
    quoted = "not an HTTP answer: Expected HTTP/, buyer zhang.san@example.cn:\n\n  b'<html>planted'\n    ^"
    assert TransportFailure(quoted).reason == "not an HTTP answer: Expected HTTP/, buyer […]:"


@pytest.mark.parametrize(
    ("code", "said", "kept"),
    [
        (1062, "Duplicate entry 'it's planted' for key 'points.buyer'", "Duplicate entry '[…]' for key 'points.buyer'"),
        (1366, "Incorrect string value: '\\xF0planted' for column `n`", "Incorrect string value: '[…]' for column `n`"),
        (1205, "Lock wait timeout exceeded", "Lock wait timeout exceeded"),
    ],
)  # fmt: skip
def test_a_servers_words_come_without_the_rows_values(code: int, said: str, kept: str) -> None:
    assert said_by(RuntimeError(code, said)) == kept
