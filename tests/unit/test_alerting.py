"""From `[alerts]` to routes and targets; what is wrong with it is said without what is secret in it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler import alerting
from reconciler.domain.case import CaseKind
from reconciler.events import Severity
from reconciler.events.running import TurnFailed
from reconciler.gateways import SETTINGS
from reconciler.ops.alerts import apprise_target
from reconciler.ops.clock import SystemClock
from reconciler.ops.mask import Mask
from reconciler.settings.inventory import never_printed
from reconciler.settings.load import parse
from reconciler.settings.model import Settings
from reconciler.settings.problems import ConfigurationError
from reconciler.settings.show import as_toml
from reconciler.testing.clock import ManualClock
from reconciler.testing.events import RecordingEvents
from reconciler.wiring import EnvironmentUnusable
from tests.small_configuration import small_configuration

Make = Callable[..., Settings]
TOKEN = "s3cr3tt0kenswordfish"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from reconciler.sandbox.keys import keep_keys  # noqa: PLC0415 # slow, and only here

    directory = tmp_path_factory.mktemp("keys")
    keep_keys(directory)
    return directory


@pytest.fixture
def settings(keys: Path, tmp_path: Path) -> Make:
    def make(text: str, **credentials: str) -> Settings:
        for name, value in credentials.items():
            (tmp_path / name).write_text(value)
        shop = small_configuration(keys, shop="sqlite:////var/lib/shop/shop.db", ledger="sqlite:///ledger.db")
        return parse(shop + text.replace("DIR", str(tmp_path)), SETTINGS)

    return make


def test_the_main_route_is_told_of_all_and_the_others_of_what_they_are_named_for(settings: Make) -> None:
    made = settings(
        '[alerts]\ntargets = ["file:DIR/main"]\nmin_severity = "error"\n[alerts.also]\n'
        'amount_mismatch = ["file:DIR/books"]\nlate_payment = ["file:DIR/books"]\n'
        'error = ["file:DIR/pager"]\n"channel.unconfigured" = ["file:DIR/pager"]\n',
        main=f"wecombot://{TOKEN}\njson://127.0.0.1:1/x\n",
        books="json://127.0.0.1:1/books",
        pager="json://127.0.0.1:1/pager",
    )
    main, books, pager = alerting.routes(made)
    assert [target.name for target in main.targets] == [
        "alerts.targets[0] line 1 wecombot://…",
        "alerts.targets[0] line 2 json://…",
    ]
    assert (main.min_severity, main.kinds) == (Severity.ERROR, frozenset(CaseKind))
    assert books.kinds == {CaseKind.AMOUNT_MISMATCH, CaseKind.LATE_PAYMENT}
    assert not books.wants("daemon.failed", Severity.CRITICAL)
    assert pager.kinds == frozenset()
    assert pager.wants("channel.paused", Severity.ERROR)
    assert pager.wants("channel.unconfigured", Severity.WARNING)
    assert not pager.wants("channel.clock_off", Severity.WARNING)
    assert len(alerting.targets(made)) == 4, "each once, for a test of them"


def test_a_url_that_apprise_does_not_know_stops_the_start_and_is_not_printed(settings: Make) -> None:
    made = settings(
        '[alerts]\ntargets = ["file:DIR/a", "file:DIR/b"]\nheartbeat_url = "file:DIR/c"\n',
        a=f"json://127.0.0.1:1/x\nnosuch://{TOKEN}",
        b=TOKEN,
        c=f"ftp://{TOKEN}",
    )
    with pytest.raises(EnvironmentUnusable) as caught:
        alerting.open_alerting(made, RecordingEvents(), SystemClock(), str)
    lines = str(caught.value).splitlines()
    assert [re.match(r"At ([\w.\[\]]+): file:\S+", line) is not None for line in lines] == [True] * 3
    assert "line 2 is no URL of nosuch:// that Apprise knows" in lines[0]
    assert TOKEN not in str(caught.value)


def test_without_the_package_it_is_said_how_to_get_it(settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings('[alerts]\ntargets = ["file:DIR/a"]\n', a="json://127.0.0.1:1/x")
    monkeypatch.setattr(apprise_target, "PACKAGE", "no_such_package")
    (problem,) = alerting.problems(made)
    assert problem.path == "alerts.targets"
    assert problem.text.endswith("requirements/alerts.txt (or payment-reconciler[alerts])")


def test_nothing_of_a_target_is_shown_and_all_of_it_is_masked(settings: Make) -> None:
    made = settings(
        '[alerts]\ntargets = ["file:DIR/a"]\nheartbeat_url = "file:DIR/b"\n[alerts.also]\nerror = ["file:DIR/c"]\n',
        a=f"json://user:{TOKEN}1@127.0.0.1:1/{TOKEN}2",
        b=f"https://hc.example/ping/{TOKEN}3",
        c=f"wecombot://{TOKEN}4",
    )
    assert TOKEN not in as_toml(made) + repr(made) + str(made)
    mask = Mask()
    mask.never_print(never_printed(made))
    assert mask.text(" ".join(f"{TOKEN}{number}" for number in (1, 2, 3, 4))) == "*** *** *** ***"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("targets = [1]", "At alerts.targets[0]: is not a reference to a secret"),
        ('min_severity = "notice"', 'At alerts.min_severity: must be "warning", "error" or "critical"'),
        ('targets = ["env:SHELL"]\n[alerts.also]\namount_mismach = ["env:SHELL"]', "did you mean `amount_mismatch`?"),
        ('targets = ["env:SHELL"]\n[alerts.also]\nerror = []', "At alerts.also.error: must not be empty"),
        ('targets = ["env:SHELL"]\n[alerts.also]\nerror = ["x"]', "At alerts.also.error[0]: is not a reference"),
        (
            'targets = ["env:SHELL"]\n[alerts.also]\nerror = ["file:/none"]',
            "At alerts.also.error[0]: there is no /none",
        ),
        ('[alerts.also]\nerror = ["env:SHELL"]', "At alerts.also: is told of some things only"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    settings: Make,
    text: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHELL", "json://127.0.0.1:1/x")
    with pytest.raises(ConfigurationError) as caught:
        settings(f"[alerts]\n{text}\n")
    assert said in str(caught.value)


async def test_a_fault_in_telling_is_logged_and_telling_goes_on() -> None:
    clock, events, tries = ManualClock(), RecordingEvents(), list[float]()

    async def work() -> None:
        tries.append(clock.monotonic())
        if len(tries) < 3:
            raise KeyError("x")

    keeping = asyncio.create_task(alerting.kept_up("alerts", work, events, clock))
    await clock.sleep(0)
    await clock.advance(200)
    assert tries == [0, 60, 120]
    assert keeping.done()
    assert [event.what for event in events.of(TurnFailed)] == ["alerts: KeyError: 'x'"] * 2
