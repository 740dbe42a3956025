"""What stays is set apart from garbage collection, and what went before it is collected."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from reconciler.ops.garbage import NEW_OBJECTS, set_apart_what_stays


class Loop:
    """Refers to itself, so that only the collector ends it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_what_stays_is_looked_through_no_more() -> None:
    set_apart_what_stays()
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] == NEW_OBJECTS


def test_what_an_earlier_configuration_left_is_collected() -> None:
    loop = Loop()
    gone = weakref.ref(loop)
    set_apart_what_stays()
    del loop
    gc.collect()
    assert gone() is not None, "set apart, it is not looked at"
    set_apart_what_stays()
    assert gone() is None
