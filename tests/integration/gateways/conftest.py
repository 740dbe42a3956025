"""What the wire tests share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key


@pytest.fixture(autouse=True, scope="session")
def _each_private_key_is_loaded_once() -> Iterator[None]:
    """Spare a thousand tests a tenth of a second each: that is what checking an RSA key takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reconciler.gateways.keys.load_der_private_key", cache(load_der_private_key))
        yield
