"""The kinds of gateway that are installed, by the entry points of `reconciler.gateways`: ours and anybody's alike."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from typing import Any, Final

from reconciler.gateways.kind import Kind
from reconciler.settings.channel import ChannelSettings
from reconciler.settings.draft import GatewayUnusable

GROUP: Final = "reconciler.gateways"
DISTRIBUTION: Final = "payment-reconciler"
REASON_LENGTH_MAX: Final = 200
INSTALL: Final = "install it: pip install -e ."


def _installed() -> Iterable[EntryPoint]:
    return importlib.metadata.entry_points(group=GROUP)


class Kinds(Mapping[str, Kind[Any]]):
    """Each kind by its name. The names are known without importing anything; a kind is imported when it is looked up.

    Looking one up raises KeyError where nothing of that name is installed, and GatewayUnusable where it is, and is of
    no use. The entry points are read once: a gateway that is installed meanwhile is found by the next start.
    """

    def __init__(self, find: Callable[[], Iterable[EntryPoint]] = _installed) -> None:
        self._find = find
        self._found: Mapping[str, Sequence[EntryPoint]] | None = None

    def __getitem__(self, name: str) -> Kind[Any]:
        return _load(name, self._offers(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name())

    def __len__(self) -> int:
        return len(self._by_name())

    def __contains__(self, name: object) -> bool:
        return name in self._by_name()

    def _offers(self, name: str) -> Sequence[EntryPoint]:
        offers = self._by_name().get(name)
        if offers is not None:
            return offers
        if not any(_distribution(offer) == DISTRIBUTION for each in self._by_name().values() for offer in each):
            # Run from a source tree: a copy of the list in here would hide that, until it mattered.
            raise GatewayUnusable(f'gateway "{name}": Reconciler offers no gateway, for it is not installed; {INSTALL}')
        raise KeyError(name)

    def _by_name(self) -> Mapping[str, Sequence[EntryPoint]]:
        if self._found is None:
            found: dict[str, list[EntryPoint]] = {}
            for offer in sorted(self._find(), key=lambda offer: (offer.name, _origin(offer), offer.value)):
                found.setdefault(offer.name, []).append(offer)
            self._found = found
        return self._found


class SettingsModels(Mapping[str, type[ChannelSettings]]):
    """Each kind's model of `[channels.NAME]`, found as the kinds are."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds

    def __getitem__(self, name: str) -> type[ChannelSettings]:
        model: type[ChannelSettings] = self._kinds[name].settings
        return model

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __contains__(self, name: object) -> bool:
        return name in self._kinds


KINDS: Final = Kinds()
SETTINGS: Final = SettingsModels(KINDS)


def _load(name: str, offers: Sequence[EntryPoint]) -> Kind[Any]:
    """Import the one that is offered. Raises GatewayUnusable."""
    if len(offers) > 1:
        by = " and ".join(f"{_origin(offer)} ({offer.value})" for offer in offers)
        raise GatewayUnusable(f'gateway "{name}" is offered by {by}; uninstall all but one')
    offer = offers[0]
    who = f'gateway "{name}" (from distribution {_origin(offer)})'
    try:
        kind = offer.load()
    except Exception as error:  # a stranger's module: it may raise anything
        raise GatewayUnusable(f"{who} cannot be loaded: {_said(error)}") from error
    if not isinstance(kind, Kind):
        raise GatewayUnusable(f"{who} cannot be used: {offer.value} is no reconciler.gateways.Kind")
    if kind.name != name:
        raise GatewayUnusable(f'{who} cannot be used: its Kind calls itself "{kind.name}"')
    model: object = kind.settings  # a stranger's: it may be anything
    if not (isinstance(model, type) and issubclass(model, ChannelSettings)):
        raise GatewayUnusable(f"{who} cannot be used: its settings do not extend ChannelSettings")
    return kind


def _said(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}".partition("\n")[0][:REASON_LENGTH_MAX]
    return "".join(character if character.isprintable() else "?" for character in text)


def _origin(offer: EntryPoint) -> str:
    return f"{offer.dist.name} {offer.dist.version}" if offer.dist else "an unknown distribution"


def _distribution(offer: EntryPoint) -> str | None:
    return offer.dist.name if offer.dist else None
