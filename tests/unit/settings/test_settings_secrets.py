from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.settings.secret import NOT_A_REFERENCE, SECRET_BYTES_MAX, Secret, SecretError

Check = Callable[..., list[str]]
KEY = '"env:APPLE_KEY"'


def at_key(check: Check, reference: object, more: str = "") -> str:
    (line,) = check((KEY, f'"{reference}"'), more=more)
    assert line.startswith("At channels.apple.private_key: "), line
    return line


def put(path: Path, content: bytes = b"a good key\n", mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_secret_comes_from_a_credential_a_file_or_the_environment(credentials: Path, check: Check) -> None:
    put(credentials / "apple")
    assert check((KEY, '"credential:apple"')) == []
    assert check((KEY, f'"file:{credentials}/apple"')) == []
    assert check() == []


def test_a_private_key_that_others_may_read_is_a_fault_of_its_own(tmp_path: Path, check: Check) -> None:
    for mode in (0o644, 0o604, 0o660, 0o622):
        path = put(tmp_path / f"key{mode:o}", mode=mode)
        assert f"is open to others; run: chmod 0600 {path}" in at_key(check, f"file:{path}")
    assert check((KEY, f'"file:{put(tmp_path / "group", mode=0o640)}"')) == []


def test_systemds_own_credentials_are_never_exposed(credentials: Path, check: Check) -> None:
    put(credentials / "apple", mode=0o644)
    assert check((KEY, '"credential:apple"')) == []


def test_without_systemd_a_credentials_mode_counts(
    tmp_path: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    monkeypatch.setattr("reconciler.settings.secret.CREDENTIALS_DEFAULT", tmp_path)
    put(tmp_path / "apple", mode=0o644)
    assert "is open to others" in at_key(check, "credential:apple")


def test_another_secret_may_be_readable(tmp_path: Path, check: Check) -> None:
    path = put(tmp_path / "alerts", mode=0o644)
    assert check(more=f'[alerts]\ntargets = ["file:{path}"]\n') == []


def test_a_secret_that_cannot_be_read_says_why(tmp_path: Path, check: Check) -> None:
    os.mkfifo(tmp_path / "pipe")
    for reference, words in [
        (f"file:{tmp_path}/none", f"there is no {tmp_path}/none; put the secret there"),
        (f"file:{tmp_path}", "cannot be read: Is a directory"),
        (f"file:{tmp_path}/pipe", "is not a regular file"),
        (f"file:{put(tmp_path / 'empty', b' ')}", "is empty"),
        (f"file:{put(tmp_path / 'large', b'x' * (SECRET_BYTES_MAX + 1))}", "is larger than"),
        (f"file:{put(tmp_path / 'plain')}/below", "cannot be read: Not a directory"),
        ("env:NOT_THERE", "environment variable NOT_THERE is not set"),
    ]:
        assert words in at_key(check, reference)


def test_a_key_that_does_not_parse_is_told_by_its_gateway(tmp_path: Path, check: Check) -> None:
    assert at_key(check, f"file:{put(tmp_path / 'bad', b'junk')}").endswith(": is no key")


def test_credentials_of_a_table_with_faults_are_read_all_the_same(check: Check) -> None:
    lines = check((KEY, '"env:NOT_THERE"'), ('app_id = "1"', "app_id = 1"))
    assert [line.split(": ")[0] for line in lines] == ["At channels.apple.app_id", "At channels.apple.private_key"]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "credential:",
        "credential:../x",
        "credential:..",
        "vault:x",
        "env:A-B",
        "env:1A",
        "file:",
        "file:a\nb",
        "file:a\0",
    ],
)
def test_what_is_no_reference_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a reference to a secret") as caught:
        Secret(value)
    assert str(caught.value) == NOT_A_REFERENCE


def test_printing_a_secret_gives_its_reference(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "hunter2")
    secret = Secret("env:WORD")
    secret.load()
    assert (str(secret), repr(secret)) == ("env:WORD", "Secret('env:WORD')")
    assert secret == Secret("env:WORD")
    assert secret.reveal() == b"hunter2"


def test_a_secret_is_read_once(tmp_path: Path) -> None:
    path = put(tmp_path / "key", b"one")
    secret = Secret(f"file:{path}")
    assert secret.reveal() == b"one"
    path.write_bytes(b"two")
    assert secret.reveal() == b"one"
    with pytest.raises(SecretError):
        Secret(f"file:{path}x").reveal()
