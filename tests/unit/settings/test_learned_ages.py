"""`ask.ages = "learned"`, from the file to the policy."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.domain.policy import DEFAULT_AGES
from reconciler.settings import ChannelSettings, as_dict, as_toml, parse
from reconciler.wiring import policy_of
from tests.unit.settings.conftest import Parse


def test_learned_ages_begin_as_the_default_list_and_are_learned_for_as_many_asks(parsed: Parse) -> None:
    policy = policy_of(parsed(more='[ask]\nages = "learned"\nper_order = 2.5\n'), ())
    assert policy.ages == DEFAULT_AGES
    assert policy.per_order == 2.5


def test_listed_ages_are_not_learned_whatever_per_order_says(parsed: Parse) -> None:
    assert policy_of(parsed(), ()).per_order is None
    listed = [f"{age.total_seconds():.0f}s" for age in DEFAULT_AGES]
    assert policy_of(parsed(more=f"[ask]\nages = {listed}\nper_order = 2.5\n"), ()).per_order is None


def test_learned_ages_are_shown_as_written(parsed: Parse, gateways: Mapping[str, type[ChannelSettings]]) -> None:
    settings = parsed(more='[ask]\nages = "learned"\n')
    assert as_dict(settings)["ask"]["ages"] == "learned"  # type: ignore[index,call-overload] # JSON has no types
    assert policy_of(parse(as_toml(settings), gateways), ()).per_order == 4.0
