"""What docs/how-to/install-as-a-service.md says, done to the letter: the commands are read from the page."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.system.machine import Machine
from tests.unit.docs.book import FENCE, ROOT

PAGE = ROOT / "docs" / "how-to" / "install-as-a-service.md"
PROJECT = "/root/reconciler"
WHEELS = "/root/wheels"
CREDENTIALS = "/etc/reconciler/credentials"
CONFIGURATION = "/etc/reconciler/reconciler.toml"
REQUIREMENTS = [path for path in sorted((ROOT / "requirements").glob("*.txt")) if path.stem != "dev"]
COPIED = ("reconciler", "requirements", "config", "pyproject.toml", "README.md", "LICENSE")
# A person at a terminal edits; here a program writes what the person would have pasted.
_PASTE = '#!/bin/sh\nexec cp /root/pasted "$1"\n'
_TERMINAL = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"


def steps() -> Mapping[str, Sequence[tuple[str, str]]]:
    """Give the blocks of each section that has a number, in order: language and text."""
    parts = re.split(r"^## (\d)\. .+$", PAGE.read_text(), flags=re.MULTILINE)
    return {number: FENCE.findall(text) for number, text in zip(parts[1::2], parts[2::2], strict=True)}


@dataclass
class Installation:
    """One machine, and what each documented command has printed on it."""

    machine: Machine
    said: dict[str, str] = field(default_factory=dict)
    project: str = PROJECT
    """Where the copy of this project lies that the commands are given in."""

    def bring_the_project(self, wheels: Path) -> None:
        """Copy this project and its requirements in, as somebody without a network would."""
        shutil.copytree(wheels, f"{self.machine.root}{WHEELS}")
        copy = Path(f"{self.machine.root}{PROJECT}")
        copy.mkdir(parents=True)
        for path in [ROOT / name for name in COPIED] + sorted(ROOT.glob("*.service")):
            if path.is_dir():
                shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, copy)

    def install_the_program(self) -> None:
        """Do step 1."""
        self._do("1", f"PIP_NO_INDEX=1 PIP_FIND_LINKS={WHEELS}")

    def put_secrets(self, secrets: Mapping[str, str]) -> None:
        """Do step 2, pasting each secret where the page says to paste."""
        for line in self._commands("2"):
            name = line.partition("#")[0].strip().rpartition("/")[2]
            self._run(line, stdin=secrets[name] if "/dev/stdin" in line else "")

    def write_configuration(self, text: str) -> None:
        """Do step 3; `text` is what somebody would fill in."""
        copy, check = self._commands("3")
        self._run(copy)
        self.machine.write(CONFIGURATION, text)
        self._run(check)

    def start_the_unit(self) -> None:
        """Do step 4: what the page shows as the drop-in is what is pasted into the editor."""
        self.machine.write("/root/paste", _PASTE, mode=0o755)
        (drop_in,) = (text for language, text in steps()["4"] if language == "ini")
        self.machine.write("/root/pasted", drop_in)
        for line in self._commands("4"):
            if line.startswith("systemctl edit"):
                self._run(line, as_typed=f"SYSTEMD_EDITOR=/root/paste python3 -c {shlex.quote(_TERMINAL)} {line}")
            else:
                self._run(line)

    def look_whether_it_is_well(self) -> None:
        """Do step 5."""
        self._do("5")

    def another_version(self, version: str) -> Installation:
        """Bring a copy of this project of another version: of the same sources, but for its number."""
        copy = f"{self.project}-{version}"
        number = f's/^__version__ = .*/__version__ = "{version}"/'
        self.machine.run(f"cp -a {self.project} {copy}; sed -i '{number}' {copy}/reconciler/__init__.py")
        return Installation(self.machine, project=copy)

    def put_aside(self) -> None:
        """Do the first block of step 7."""
        self._block("7", 0)

    def install_over_it(self) -> None:
        """Do step 1 without its first line, and step 4 as far as the drop-in."""
        self._do("1", f"PIP_NO_INDEX=1 PIP_FIND_LINKS={WHEELS}", skip=1)
        self._put_the_unit()

    def go_on(self) -> None:
        """Do the second block of step 7."""
        self._block("7", 1)

    def go_back(self, *, check: bool = True) -> None:
        """Put unit and catalogue of this version in place again, and do the third block of step 7."""
        self._put_the_unit()
        self._block("7", 2, check=check)

    def put_the_ledger_back(self) -> None:
        """Do the last block of step 7."""
        self._block("7", 3)

    def away_with_it(self) -> None:
        """Do step 8."""
        self._do("8")

    def _put_the_unit(self) -> None:
        lines = self._commands("4")
        for line in lines[: lines.index("systemctl edit reconciler")]:
            self._run(line)

    def _block(self, step: str, place: int, *, check: bool = True) -> None:
        blocks = [text for language, text in steps()[step] if language == "sh"]
        for line in blocks[place].splitlines():
            self._run(line, check=check)

    def _do(self, step: str, environment: str = "", skip: int = 0) -> None:
        for line in self._commands(step)[skip:]:
            self._run(line, as_typed=f"{environment} {line}")

    def _commands(self, step: str) -> Sequence[str]:
        lines = [line for language, text in steps()[step] if language == "sh" for line in text.splitlines()]
        return [line for line in lines if line.strip()]

    def _run(self, line: str, *, as_typed: str = "", stdin: str = "", check: bool = True) -> None:
        self.said[line] = self.machine.run(f"cd {self.project}; {as_typed or line}", stdin=stdin, check=check)
