"""From `[alerts]` to what tells people: routes and targets, the heartbeat, and the voice that speaks."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from sqlalchemy import make_url

from reconciler.domain.case import CaseKind
from reconciler.events import Severity
from reconciler.events.running import TurnFailed
from reconciler.ops.alerts import apprise_target
from reconciler.ops.alerts.apprise_target import AppriseTarget, TargetUnusable, urls_of
from reconciler.ops.alerts.heartbeat import BODY_BYTES_MAX, Heartbeat
from reconciler.ops.alerts.post import Post, Route
from reconciler.ops.alerts.words import Voice
from reconciler.ports import Clock, Events
from reconciler.settings.alerts import SEVERITIES
from reconciler.settings.model import Settings
from reconciler.settings.problems import Problem, key_text
from reconciler.settings.secret import Secret
from reconciler.settings.urls import is_web_url
from reconciler.transport import Proxies, Transport
from reconciler.wiring import EnvironmentUnusable

REQUIREMENTS: Final = "requirements/alerts.txt"
"""The file of the project that pins Apprise by its hash."""
MAIN: Final = "alerts.targets"
AGAIN_S: Final = 60.0

_KINDS = {kind.value: kind for kind in CaseKind}


@dataclass(frozen=True, slots=True)
class Alerting:
    """Who is told, in one reading of the configuration."""

    post: Post
    voice: Voice
    heartbeat: Heartbeat | None

    async def close(self) -> None:
        """Give up what is under way."""
        await self.post.close()
        if self.heartbeat is not None:
            await self.heartbeat.close()


async def kept_up(what: str, work: Callable[[], Awaitable[None]], events: Events, clock: Clock) -> None:
    """Do work that ends with its task alone; a fault of it is logged, and a minute later it is begun again.

    Nothing that keeps the rounds company ends in silence: one case that cannot be put into words would keep all others
    untold, and one row that breaks the audit the whole shop unaudited.
    """
    while True:
        try:
            await work()
        except Exception as fault:  # noqa: BLE001 # logged with its traceback; orders are looked after without it
            said = f"{what}: {type(fault).__name__}: {fault}"
            events.emit(TurnFailed(what=said, order_nos="", traceback=traceback.format_exc()))
            await clock.sleep(AGAIN_S)
        else:
            return


def open_alerting(settings: Settings, events: Events, clock: Clock, mask: Callable[[str], str]) -> Alerting:
    """Open every target. Raises EnvironmentUnusable, with each fault on a line."""
    if faults := [str(problem) for problem in problems(settings)]:
        raise EnvironmentUnusable("\n".join(faults))
    return Alerting(
        Post(routes(settings), events, clock), voice_of(settings, mask), _heartbeat(settings, events, clock)
    )


def problems(settings: Settings) -> Iterator[Problem]:
    """Say what stands in the way of telling: a package, a URL. Imports Apprise where there are targets."""
    alerts = settings.alerts
    if alerts.targets and not apprise_target.is_installed():
        how = f"pip install --no-deps --require-hashes -r {REQUIREMENTS} (or payment-reconciler[alerts])"
        yield Problem(MAIN, f"needs the package apprise, and it is not installed; {how}")
    else:
        for where, secret in _secrets(settings):
            yield from _unusable(where, secret)
    heartbeat = alerts.heartbeat_url
    if heartbeat is not None and not is_web_url(heartbeat.reveal().decode(errors="replace")):
        text = f"{heartbeat} holds no URL that can be asked for; put one there that begins with https://"
        yield Problem("alerts.heartbeat_url", text)


def targets(settings: Settings) -> tuple[AppriseTarget, ...]:
    """Open each target once, wherever it is named: for a test of them. Raises TargetUnusable."""
    found = {url: place for place, url in reversed(list(_urls(settings)))}
    return tuple(AppriseTarget(place, url) for url, place in reversed(found.items()))


def routes(settings: Settings) -> tuple[Route, ...]:
    """Make a route of `targets`, and one of each group of targets that is told of some things only."""
    alerts = settings.alerts
    main = Route(MAIN, _opened(MAIN, alerts.targets), Severity[alerts.min_severity.upper()])
    subjects: dict[tuple[Secret, ...], list[str]] = {}
    for subject, secrets in alerts.also.items():
        subjects.setdefault(secrets, []).append(subject)
    return (main, *(_also(secrets, names) for secrets, names in subjects.items()))


def voice_of(settings: Settings, mask: Callable[[str], str]) -> Voice:
    """Say who speaks: the shop's database and table, and this machine."""
    database = PurePath(make_url(settings.shop.url).database or "").name
    return Voice(f"{database} {settings.shop.orders.table} on {socket.gethostname()}", mask)


def _also(secrets: tuple[Secret, ...], names: list[str]) -> Route:
    """Make a route for what these are told of: a severity is that of events; kinds and events are named one by one."""
    where = f"alerts.also.{key_text(names[0])}"
    floors = [Severity[name.upper()] for name in names if name in SEVERITIES]
    events = frozenset(name for name in names if name not in SEVERITIES and name not in _KINDS)
    kinds = frozenset(_KINDS[name] for name in names if name in _KINDS)
    return Route(where, _opened(where, secrets), max(floors, default=None), kinds, events)


def _opened(where: str, secrets: tuple[Secret, ...]) -> tuple[AppriseTarget, ...]:
    return tuple(AppriseTarget(place, url) for place, url in _places(where, secrets))


def _secrets(settings: Settings) -> Iterator[tuple[str, Secret]]:
    alerts = settings.alerts
    for place, secret in enumerate(alerts.targets):
        yield f"{MAIN}[{place}]", secret
    for subject, secrets in alerts.also.items():
        for place, secret in enumerate(secrets):
            yield f"alerts.also.{key_text(subject)}[{place}]", secret


def _urls(settings: Settings) -> Iterator[tuple[str, str]]:
    alerts = settings.alerts
    yield from _places(MAIN, alerts.targets)
    for subject, secrets in alerts.also.items():
        yield from _places(f"alerts.also.{key_text(subject)}", secrets)


def _places(where: str, secrets: tuple[Secret, ...]) -> Iterator[tuple[str, str]]:
    """Give each URL with its place; where a credential holds several, with its line."""
    for place, secret in enumerate(secrets):
        urls = urls_of(secret.reveal())
        for line, url in enumerate(urls, 1):
            yield f"{where}[{place}]" + (f" line {line}" if len(urls) > 1 else ""), url


def _unusable(where: str, secret: Secret) -> Iterator[Problem]:
    urls = urls_of(secret.reveal())
    if not 0 < len(urls) <= apprise_target.URLS_MAX:
        yield Problem(where, f"{secret} must hold one URL, or up to {apprise_target.URLS_MAX}, one on each line")
        return
    for line, url in enumerate(urls, 1):
        try:
            AppriseTarget(where, url)
        except TargetUnusable as error:
            yield Problem(where, f"{secret}{f' line {line}' if len(urls) > 1 else ''} {error}")


def _heartbeat(settings: Settings, events: Events, clock: Clock) -> Heartbeat | None:
    secret = settings.alerts.heartbeat_url
    if secret is None:
        return None
    try:
        proxies = Proxies.from_environment(os.environ)
    except ValueError as error:
        raise EnvironmentUnusable(f"the environment names a proxy that cannot be used: {error}") from error
    return Heartbeat(secret.reveal().decode(), Transport(proxies, body_bytes_max=BODY_BYTES_MAX), events, clock)
