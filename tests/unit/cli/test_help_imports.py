"""`--help` answers at once: what it imports is counted, since a clock would measure the machine."""

from __future__ import annotations

import sys

import pytest

from tests.unit.cli.loading import loaded_by

MODULES_MAX = 300
"""All that it loads, the interpreter's own among it: 147 with typer 0.27 on Python 3.11."""
ITS_OWN = {"reconciler", "reconciler.cli"}
FOR_ITS_WORDS = {"typer", "click", "shellingham", "annotated_doc", "typing_extensions", "rich"}
"""Typer, and what it may bring."""


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_the_list_of_commands_loads_the_command_line_alone(arguments: list[str]) -> None:
    count, loaded = loaded_by(*arguments)
    assert {name for name in loaded if name.partition(".")[0] == "reconciler"} == ITS_OWN
    packages = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names - {"reconciler"}
    assert {name for name in packages if not name.startswith("_")} <= FOR_ITS_WORDS
    assert count <= MODULES_MAX
