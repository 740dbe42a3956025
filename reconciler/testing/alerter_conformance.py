"""What every target must do: a suite for the double and for Apprise's. Override the two fixtures."""

from __future__ import annotations

import pytest

from reconciler.events import Severity
from reconciler.ports import BODY_BYTES_MAX, Alerter, Heard, Message, Unheard


class AlerterConformance:
    """The port `Alerter`."""

    @pytest.fixture
    def taking(self) -> Alerter:
        """Give a target that takes what it is told."""
        raise NotImplementedError

    @pytest.fixture
    def refusing(self) -> Alerter:
        """Give a target that does not."""
        raise NotImplementedError

    @pytest.mark.parametrize("severity", Severity)
    async def test_it_takes_a_message_of_every_severity(self, taking: Alerter, severity: Severity) -> None:
        assert await taking.tell(Message("case 1", "order A1\n订单 <b> %s {x}", severity)) == Heard()

    async def test_it_takes_the_longest_message(self, taking: Alerter) -> None:
        assert await taking.tell(Message("case 1", "x" * BODY_BYTES_MAX, Severity.WARNING)) == Heard()

    async def test_a_refusal_is_a_value_with_a_reason_of_one_line(self, refusing: Alerter) -> None:
        outcome = await refusing.tell(Message("case 1", "order A1", Severity.WARNING))
        assert isinstance(outcome, Unheard)
        assert outcome.why.isprintable()
        assert outcome.why

    async def test_it_is_named_by_where_it_stands_and_by_its_scheme_alone(self, taking: Alerter) -> None:
        assert taking.name.startswith("alerts.")
        assert taking.name.endswith("://…")
