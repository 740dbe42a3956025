"""A Debian of its own, booted by systemd in a container without a network: as root, with nspawn."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

SUITE = "bookworm"
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,curl"
ENVIRONMENT = {
    # On the page `reconciler` stands for /opt/reconciler/bin/reconciler.
    "PATH": "/opt/reconciler/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "SYSTEMD_PAGER": "cat",
    "SYSTEMD_COLORS": "0",
}
PYTHON, GLIBC_MINOR = "3.11", 36
"""Of that suite: wheels for this C library and for older ones run there."""
MAKE_WITHIN_S, BOOT_WITHIN_S, RUN_WITHIN_S, HALT_WITHIN_S = 400, 120, 240, 30
SAID_WITHIN_S = 90
"""A loaded machine is slow, and that is no finding."""
MAKE_TRIES = 2

Entry = Mapping[str, Any]
"""A line of the journal with all its fields."""


class CommandFailed(AssertionError):
    """A command in the machine ended with another code than 0."""


def missing() -> Sequence[str]:
    """Say what this computer lacks to boot such a machine, each with its remedy."""
    lacks = []
    if os.name != "posix" or os.geteuid() != 0:
        lacks.append("not root: sudo make test-system")
    programs = {
        "debootstrap": "debootstrap",
        "systemd-nspawn": "systemd-container",
        "nsenter": "util-linux",
        "setpriv": "util-linux",
    }
    return lacks + [f"no {name}: apt install {package}" for name, package in programs.items() if not shutil.which(name)]


def unless_missing(lacks: str) -> None:
    """Skip on a laptop; where CI is set, what is missing is a failure."""
    if lacks and os.environ.get("CI"):
        pytest.fail(lacks)
    if lacks:
        pytest.skip(lacks)


def make_tree(root: Path) -> None:
    """Fill a directory with a small Debian. Takes a minute or two, and Debian's packages from wherever apt has them.

    Tried twice: one of some hundred downloads may fail.
    """
    said = ""
    for _ in range(MAKE_TRIES):
        made = subprocess.run(  # noqa: S603 # names of ours
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)],  # noqa: S607 # looked for in missing()
            capture_output=True,
            text=True,
            check=False,
            timeout=MAKE_WITHIN_S,
        )
        if made.returncode == 0:
            return
        said = f"debootstrap ended with {made.returncode}:\n{made.stdout[-2000:]}{made.stderr[-2000:]}"
        remove_tree(root)
    raise CommandFailed(said)


def fetch_wheels(directory: Path, requirements: Sequence[Path]) -> None:
    """Have this computer's pip fetch the wheels that the machine's Python takes: the machine itself has no network."""
    tags = [f"manylinux_2_{minor}" for minor in range(5, GLIBC_MINOR + 1)]
    tags += ["manylinux1", "manylinux2010", "manylinux2014"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--dest", str(directory)]
    command += ["--implementation=cp", f"--python-version={PYTHON}"]
    command += [f"--platform={tag}_{platform.machine()}" for tag in tags]
    for path in requirements:
        command += ["--requirement", str(path)]
    fetched = subprocess.run(  # noqa: S603 # our own interpreter
        command, capture_output=True, text=True, check=False, timeout=MAKE_WITHIN_S
    )
    if fetched.returncode != 0:
        raise CommandFailed(f"pip download ended with {fetched.returncode}:\n{fetched.stderr[-2000:]}")


def remove_tree(root: Path) -> None:
    """Remove a machine's files, and nothing that is mounted among them."""
    subprocess.run(["rm", "-rf", "--one-file-system", str(root)], check=True, timeout=60)  # noqa: S603, S607 # a path of ours


class Machine:
    """One container. Commands are run in it as root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    @contextlib.contextmanager
    def booted(self) -> Iterator[Machine]:
        """Boot, and pull the plug at the end. Its loopback is its own: no port of this computer is taken."""
        command = ["setpriv", "--pdeathsig=TERM", "systemd-nspawn", "--quiet", "--boot", "--console=pipe"]
        command += [f"--directory={self.root}", f"--machine=reconciler-{os.getpid()}", "--private-network"]
        if not Path("/run/systemd/system").is_dir():  # no systemd on this side to tell of it
            command += ["--register=no", "--keep-unit"]
        said = self.root.with_name(f"{self.root.name}.console")
        with said.open("wb") as console:
            self._nspawn = subprocess.Popen(  # noqa: S603 # looked for in missing()
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT
            )
        try:
            self._leader = self._booted_leader(self._nspawn.pid, said)
            yield self
        finally:
            self._halt()

    def _booted_leader(self, nspawn: int, said: Path) -> int:
        """Wait until systemd has started what it starts; give its process as this computer numbers it."""
        end = time.monotonic() + BOOT_WITHIN_S
        while time.monotonic() < end and self._nspawn is not None and self._nspawn.poll() is None:
            for child in Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split():
                with contextlib.suppress(OSError, CommandFailed, subprocess.TimeoutExpired):
                    self._leader = int(child)
                    if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                        self.run("systemctl is-system-running --wait | grep -qx 'running\\|degraded'", within_s=20)
                        return int(child)
            time.sleep(0.1)  # the kernel tells nobody when a container has booted
        raise CommandFailed(f"the container did not boot within {BOOT_WITHIN_S} s:\n{said.read_text(errors='replace')}")

    def _halt(self) -> None:
        if self._nspawn is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if self._leader:  # the whole container ends with it; nothing in it is worth an orderly shutdown
                os.kill(self._leader, signal.SIGKILL)
        try:
            self._nspawn.wait(HALT_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait(HALT_WITHIN_S)
        self._nspawn = None

    def run(self, command: str, *, stdin: str = "", check: bool = True, within_s: float = RUN_WITHIN_S) -> str:
        """Run a line of shell; give what it printed on both outputs. Raises CommandFailed, unless told not to check."""
        ended = subprocess.run(  # noqa: S603 # lines of ours and of our pages, in a machine of ours
            self._inside("bash", "-euo", "pipefail", "-c", command),
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=within_s,
        )
        if check and ended.returncode != 0:
            raise CommandFailed(f"{command}\nended with {ended.returncode}:\n{ended.stdout[-4000:]}")
        return ended.stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the machine's."""
        self.run(f"install -D -m {mode:o} /dev/stdin {path}", stdin=text)

    def now(self) -> str:
        """Give the time as journalctl's --since takes it; its --after-cursor passes over a line that matches."""
        return f"@{self.run('date +%s.%6N').strip()}"

    def journal(self, *matches: str, since: str) -> Sequence[Entry]:
        """Read the journal's lines since then. `matches` are journalctl's own."""
        said = self.run(f"journalctl -q -o json --all --since={since} {' '.join(matches)}")
        return [json.loads(line) for line in said.splitlines()]

    def until(self, *matches: str, since: str, within_s: float = SAID_WITHIN_S) -> Entry:
        """Wait for a line of the journal since then, and give it."""
        words = " ".join(matches)
        follow = f"timeout {within_s:g} journalctl -q -o json --all --follow --no-tail --since={since} {words}"
        # A pipe would be waited for until journalctl notices that nobody reads on.
        line = self.run(f'IFS= read -r line < <({follow} 2>/dev/null) || true; echo "$line"', within_s=within_s + 20)
        if not line.strip():
            said = self.run(f"journalctl -q -o short-precise --since={since}")
            raise CommandFailed(f"nothing with {words} within {within_s:g} s; the journal has\n{said[-6000:]}")
        entry: Entry = json.loads(line)
        return entry

    def _inside(self, *command: str) -> Sequence[str]:
        variables = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
        # No name space of users: nspawn made none. `--all` would want one where the kernel has it.
        spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
        return ["nsenter", f"--target={self._leader}", *spaces, "--", "/usr/bin/env", "-i", *variables, *command]
