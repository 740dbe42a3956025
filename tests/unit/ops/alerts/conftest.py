from __future__ import annotations

import pytest

from tests.unit.ops.alerts.desk import Desk


@pytest.fixture
async def desk() -> Desk:
    made = Desk()
    await made.ledger.lead("first", made.clock.now())
    return made
