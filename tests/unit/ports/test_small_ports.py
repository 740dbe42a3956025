"""Clock, Events and Pacer: one suite each, over the double and the real one."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from reconciler.ops.clock import SystemClock
from reconciler.ops.log import Format, configure
from reconciler.ops.metrics import Metrics
from reconciler.pace import Pace
from reconciler.ports import Clock, Events, Pacer
from reconciler.testing.clock import AutoClock
from reconciler.testing.events import RecordingEvents
from reconciler.testing.pace import FreePace
from reconciler.testing.small_conformance import ClockConformance, EventsConformance, PacerConformance


class TestTheSystemsClock(ClockConformance):
    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()


class TestTheVirtualClock(ClockConformance):
    @pytest.fixture
    def clock(self) -> Clock:
        return AutoClock()


class TestTheLog(EventsConformance):
    @pytest.fixture(params=["console", "json"])
    def events(self, request: pytest.FixtureRequest) -> Iterator[Events]:
        kind: Format = request.param
        log = configure(kind, stream=io.StringIO())
        yield log
        log.close()


class TestTheMetrics(EventsConformance):
    @pytest.fixture
    def events(self) -> Events:
        return Metrics(version="1", mode="observe")


class TestTheRecorder(EventsConformance):
    @pytest.fixture
    def events(self) -> Events:
        return RecordingEvents()


class TestThePace(PacerConformance):
    @pytest.fixture
    def pacer(self) -> Pacer:
        return Pace(AutoClock(), rate=100, concurrency=4)


class TestTheFreePace(PacerConformance):
    @pytest.fixture
    def pacer(self) -> Pacer:
        return FreePace(4)
