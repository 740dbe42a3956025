"""Targets by Apprise itself, to a local receiver, and what of their URLs is ever said: nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from reconciler.events import CATALOGUE, Severity
from reconciler.ops.alerts.apprise_target import AppriseTarget, TargetUnusable, urls_of
from reconciler.ops.alerts.post import within
from reconciler.ops.clock import SystemClock
from reconciler.ops.mask import parts_of
from reconciler.ports import Heard, Message, Unheard

TOKEN = "s3cr3t-t0ken-swordfish"
MESSAGE = Message(
    "case 12: amount_mismatch", "order A1, 订单, CNY 99.00\nLook: reconciler cases show 12", Severity.WARNING
)


@dataclass
class Receiver:
    """Keeps what is posted to it; answers with `status`, and not before `go`."""

    port: int = 0
    status: int = 200
    posts: list[dict[str, Any]] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        self.posts.append(json.loads(await request.read()))
        await self.go.wait()
        return web.Response(status=self.status, text=f"no, {TOKEN}")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    made.go.set()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", made.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    made.go.set()
    await runner.cleanup()


def target(receiver: Receiver) -> AppriseTarget:
    return AppriseTarget("alerts.targets[0]", f"json://user:{TOKEN}@127.0.0.1:{receiver.port}/{TOKEN}/hook?+x={TOKEN}")


async def test_a_message_arrives_as_it_is(receiver: Receiver) -> None:
    assert await target(receiver).tell(MESSAGE) == Heard()
    (post,) = receiver.posts
    assert (post["title"], post["message"], post["type"]) == (MESSAGE.title, MESSAGE.body, "warning")


@pytest.mark.parametrize("status", [400, 404, 500, 302])
async def test_a_refusal_is_said_with_its_reason_and_without_the_url(
    receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = status
    with caplog.at_level(logging.DEBUG):
        outcome = await target(receiver).tell(MESSAGE)
    assert isinstance(outcome, Unheard)
    assert str(status) in outcome.why
    assert TOKEN not in outcome.why + repr(outcome)
    said = [record for record in caplog.records if record.name == "apprise" or record.levelno >= logging.WARNING]
    assert [record for record in said if TOKEN in record.getMessage()] == [], "nor does Apprise log it"


async def test_where_nobody_listens_it_is_said_so_without_the_url() -> None:
    outcome = await AppriseTarget("alerts.targets[0]", f"json://127.0.0.1:1/{TOKEN}").tell(MESSAGE)
    assert isinstance(outcome, Unheard)
    assert outcome.why
    assert TOKEN not in outcome.why


async def test_a_target_that_hangs_is_given_up_and_has_one_thread_at_most(receiver: Receiver) -> None:
    receiver.go.clear()
    hanging = target(receiver)
    threads = threading.active_count()
    outcome = await within(SystemClock(), hanging, MESSAGE, 0.2)
    assert outcome == Unheard("no answer within 0.2 s")
    assert await hanging.tell(MESSAGE) == Unheard("it still hangs with the message before")
    assert threading.active_count() <= threads + 1
    receiver.go.set()
    while hanging._thread is not None and hanging._thread.is_alive():  # noqa: ASYNC110 # a thread wakes no event
        await asyncio.sleep(0.01)
    assert await hanging.tell(MESSAGE) == Heard()


@pytest.mark.parametrize("url", [f"nosuch://{TOKEN}", TOKEN, "wecombot://", f"json://[{TOKEN}"])
def test_what_apprise_does_not_know_is_refused_without_printing_it(url: str) -> None:
    with pytest.raises(TargetUnusable) as caught:
        AppriseTarget("alerts.targets[0]", url)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None
    with contextlib.suppress(TargetUnusable):
        assert TOKEN not in AppriseTarget("x", url).name


@pytest.mark.parametrize(
    "url",
    [
        f"wecombot://{TOKEN}",
        f"dingtalk://{TOKEN.replace('-', '')}/13800000000",
        f"feishu://{TOKEN}",
        f"mailtos://user:{TOKEN}@example.com?to=on-call@example.com",
        f"https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key={TOKEN}",
    ],
)
def test_the_usual_targets_are_known_and_named_by_their_scheme_alone(url: str) -> None:
    opened = AppriseTarget("alerts.targets[0]", url)
    assert opened.name == f"alerts.targets[0] {url.partition(':')[0]}://…"
    assert {TOKEN, TOKEN.replace("-", "")} & set(parts_of(url)), "so that the log masks it wherever it stands"


def test_an_address_of_a_machine_is_no_secret() -> None:
    assert "127.0.0.1" not in set(parts_of("json://127.0.0.1:8080/hook"))
    assert "example.com" not in set(parts_of("mailto://u:p@example.com"))


def test_a_plain_word_of_a_path_is_no_secret_and_stays_readable() -> None:
    assert set(parts_of("https://hooks.example/services/reconciler/T0A1B2C3D4?to=on-call")) == {"T0A1B2C3D4"}
    assert not any(set(parts_of(f"https://hooks.example/{event}/")) for event in CATALOGUE)


def test_a_credential_may_hold_several_urls_one_on_each_line() -> None:
    assert urls_of(b"json://a\n\n# the night shift\n  json://b  \n") == ("json://a", "json://b")
