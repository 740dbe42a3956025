"""Gateways come in by their entry points: named without being imported, and a broken one harms nobody else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from reconciler.cli import ledger as command
from reconciler.gateways import KINDS, SETTINGS, Kind
from reconciler.gateways.kinds import GROUP, Kinds, SettingsModels
from reconciler.ledger.verify import Verification
from reconciler.settings.draft import GatewayUnusable, understand

Install = Callable[..., None]
WORKS = """
from reconciler.gateways import KINDS, Kind
alipay = KINDS["alipay"]
KIND = Kind("foo", alipay.settings, alipay.build, alipay.verify_evidence)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution that offers one gateway, as pip would leave it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def _install(distribution: str, *, name: str = "foo", value: str = "foo_pay:KIND", module: str = WORKS) -> None:
        folder = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (folder / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {value}\n")
        (tmp_path / "foo_pay.py").write_text(module)
        monkeypatch.delitem(sys.modules, "foo_pay", raising=False)
        monkeypatch.syspath_prepend(str(tmp_path))  # forgets what importlib has cached of the folder

    return _install


def problem_of(kinds: Kinds, gateway: str = "foo") -> str:
    draft = understand({"channels": {"main": {"gateway": gateway}}}, SettingsModels(kinds))
    (text,) = (problem.text for problem in draft.problems if problem.path == "channels.main.gateway")
    return text


def test_ours_come_in_by_the_door_that_is_open_to_all() -> None:
    assert {point.name: point.value for point in entry_points(group=GROUP)} == {
        "alipay": "reconciler.gateways.alipay:KIND",
        "wechat": "reconciler.gateways.wechat:KIND",
    }
    assert set(KINDS) == set(SETTINGS) == {"alipay", "wechat"}
    assert all(name == kind.name and SETTINGS[name] is kind.settings for name, kind in KINDS.items())


@pytest.mark.parametrize("module", ["reconciler.gateways", "reconciler.cli.run", "reconciler.cli.ledger"])
def test_nothing_is_imported_before_it_is_named(module: str) -> None:
    program = (
        f"import sys, json, {module}; from reconciler.gateways import KINDS, SETTINGS; "
        "known = [len(KINDS), len(SETTINGS), 'alipay' in KINDS, 'alipay' in SETTINGS, 'paypal' in KINDS]; "
        "before = sorted(name for name in sys.modules if name.startswith('reconciler.gateways.alipay')); "
        "KINDS['alipay']; print(json.dumps([known, before, 'reconciler.gateways.wechat' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)  # noqa: S603 # our own interpreter
    assert json.loads(done.stdout) == [[2, 2, True, True, False], [], False]


def test_a_third_gateway_stands_beside_ours(install: Install) -> None:
    install("foo-pay")
    kinds = Kinds()
    assert set(kinds) == {"alipay", "foo", "wechat"}
    assert kinds["foo"].name == "foo"
    assert kinds["foo"] is kinds["foo"]
    assert isinstance(kinds["foo"], Kind)
    assert SettingsModels(kinds)["foo"] is kinds["foo"].settings


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("import not_there\n", "cannot be loaded: ModuleNotFoundError: No module named 'not_there'"),
        ("KINDS = 1\n", "cannot be loaded: AttributeError: module 'foo_pay' has no attribute 'KIND'"),
        ("KIND = (\n", "cannot be loaded: SyntaxError: '(' was never closed (foo_pay.py, line 1)"),
        ("raise ValueError('first\\x1b[31m\\nsecond')\n", "cannot be loaded: ValueError: first?[31m"),
        (f"raise ValueError({'x' * 5000!r})\n", f"cannot be loaded: ValueError: {'x' * 188}"),
        ("KIND = 'foo'\n", "cannot be used: foo_pay:KIND is no reconciler.gateways.Kind"),
        (WORKS.replace('"foo"', '"bar"'), 'cannot be used: its Kind calls itself "bar"'),
        (WORKS.replace("alipay.settings", "dict"), "cannot be used: its settings do not extend ChannelSettings"),
        (WORKS.replace("alipay.settings", "None"), "cannot be used: its settings do not extend ChannelSettings"),
    ],
)
def test_a_broken_one_is_said_in_one_line_to_whoever_names_it(install: Install, module: str, said: str) -> None:
    install("foo-pay", module=module)
    kinds = Kinds()
    assert problem_of(kinds) == f'gateway "foo" (from distribution foo-pay 1.2) {said}'
    assert set(kinds) == {"alipay", "foo", "wechat"}
    assert kinds["alipay"].name == "alipay"
    with pytest.raises(GatewayUnusable):
        kinds["foo"]


def test_two_distributions_with_one_name_are_an_error_for_whoever_names_it(install: Install) -> None:
    install("foo-pay")
    install("evil-pay", value="evil:KIND")
    kinds = Kinds()
    assert problem_of(kinds) == (
        'gateway "foo" is offered by evil-pay 1.2 (evil:KIND) and foo-pay 1.2 (foo_pay:KIND); uninstall all but one'
    )
    assert kinds["wechat"].name == "wechat"


def test_nobody_can_stand_in_for_one_of_ours_unseen(install: Install) -> None:
    install("evil-pay", name="alipay", value="evil:KIND")
    with pytest.raises(GatewayUnusable, match=r"offered by evil-pay 1\.2 \(evil:KIND\) and payment-reconciler"):
        Kinds()["alipay"]


def test_an_unknown_one_is_named_with_the_nearest() -> None:
    assert problem_of(KINDS, "alipai") == (
        'names no gateway that exists; did you mean "alipay"? (there are: "alipay", "wechat")'
    )
    with pytest.raises(KeyError):
        KINDS["alipai"]


def test_run_from_a_source_tree_that_is_not_installed_the_remedy_is_said() -> None:
    kinds = Kinds(lambda: ())
    assert list(kinds) == []
    assert problem_of(kinds, "alipay").endswith("it is not installed; install it: pip install -e .")


def test_signatures_of_the_ledger_say_why_they_were_not_checked(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("foo-pay", module="import nowhere_to_be_found\n")
    monkeypatch.setattr(command, "KINDS", Kinds())
    found = Verification(3, (3, "hash"), 3, 1, 0, None, (), (("foo", 1), ("gone", 1)))
    reasons = {each["gateway"]: each["why"] for each in command._plain(found)["unchecked"]}  # type: ignore[attr-defined] # a list, as the page documents
    assert reasons["foo"].startswith('gateway "foo" (from distribution foo-pay 1.2) cannot be loaded')
    assert reasons["gone"] == "no gateway of that name is installed"
    assert command._conclusion(found) == "sound, as far as it could be checked: 2 signatures were not"
    verifiers = command._Verifiers()
    assert verifiers.get("foo") is None
    assert verifiers.get("gone") is None
    assert verifiers["alipay"] is KINDS["alipay"].verify_evidence
    assert set(verifiers) == {"alipay", "foo", "wechat"}
