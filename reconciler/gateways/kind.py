"""A kind of gateway: what an adapter brings, and what its entry point names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from reconciler.domain.answer import Evidence, VerifyingKey
from reconciler.domain.order import ChannelName
from reconciler.ports import Gateway
from reconciler.settings.channel import ChannelSettings

if TYPE_CHECKING:
    from reconciler.gateways.line import Way

S = TypeVar("S", bound=ChannelSettings)


@dataclass(frozen=True, slots=True)
class Kind(Generic[S]):
    """One kind of gateway."""

    name: str
    """`alipay`: the value of `channels.NAME.gateway`, of `Gateway.kind` and of `Evidence.gateway`."""
    settings: type[S]
    """The model of `[channels.NAME]`."""
    build: Callable[[ChannelName, S, Way], Gateway]
    """Build a channel's gateway. Raises KeyUnreadable where `settings.problems()` was not heeded."""
    verify_evidence: Callable[[Evidence, VerifyingKey], str | None]
    """Say why the gateway's signature does not verify over the evidence; None where it does. Offline."""

    def open(self, channel: ChannelName, settings: ChannelSettings, way: Way) -> Gateway:
        """Build a channel's gateway from its settings, as they were loaded. Raises as `build` does."""
        if not isinstance(settings, self.settings):
            raise TypeError(f"channel {channel} is no {self.name} channel")
        return self.build(channel, settings, way)
