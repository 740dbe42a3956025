from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reconciler.sandbox.directory import MARKER, fresh_place
from reconciler.sandbox.errors import KeyFileError, NotOurs
from reconciler.sandbox.invocation import command, shown_path
from reconciler.sandbox.keys import ALIPAY_PUBLIC_KEY, APP_KEY, Keys, keep_keys, sign, verifies


def test_a_new_directory_is_made_and_marked(tmp_path: Path) -> None:
    with fresh_place(tmp_path / "a" / "demo") as place:
        assert (place.directory / MARKER).is_file()
        assert place.directory.stat().st_mode & 0o077 == 0


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    with fresh_place(tmp_path) as place:
        assert place.directory == tmp_path


def test_a_directory_with_somebodys_files_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_text("precious")
    with pytest.raises(NotOurs, match="no sandbox made"), fresh_place(tmp_path):
        pass
    assert (tmp_path / "shop.db").read_text() == "precious"
    assert not (tmp_path / MARKER).exists()


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("")
    with pytest.raises(NotOurs, match="is a file"), fresh_place(tmp_path / "demo"):
        pass


def test_our_own_directory_is_wiped_of_what_we_made_and_of_nothing_else(tmp_path: Path) -> None:
    with fresh_place(tmp_path) as place:
        place.shop.write_text("")
        (tmp_path / "ledger.db-wal").write_text("")
        place.configuration.write_text("")
        (tmp_path / "notes.txt").write_text("mine")
        keep_keys(place.keys)
    key = (place.keys / APP_KEY).read_bytes()
    with fresh_place(tmp_path) as place:
        assert sorted(path.name for path in tmp_path.iterdir()) == [MARKER, "keys", "notes.txt"]
        assert (place.keys / APP_KEY).read_bytes() == key


def test_two_sandboxes_do_not_share_a_directory(tmp_path: Path) -> None:
    with fresh_place(tmp_path), pytest.raises(NotOurs, match="another sandbox"), fresh_place(tmp_path):
        pass
    with fresh_place(tmp_path):
        pass


@pytest.mark.parametrize("name", ["with blank", "50%", "what?", "x" * 120])
def test_a_path_that_a_url_or_a_socket_cannot_take_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotOurs, match="give a"), fresh_place(tmp_path / name):
        pass
    assert not (tmp_path / name).exists()


def test_kept_keys_are_private_files_and_the_same_next_time(tmp_path: Path) -> None:
    first = keep_keys(tmp_path / "keys")
    again = keep_keys(tmp_path / "keys")
    assert verifies(first.alipay.public_key(), sign(again.alipay, b"x"), b"x")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()} == {0o600}
    assert b"PUBLIC KEY" in (tmp_path / "keys" / ALIPAY_PUBLIC_KEY).read_bytes()


def test_a_missing_key_is_made_and_a_broken_one_is_named(tmp_path: Path) -> None:
    keep_keys(tmp_path)
    (tmp_path / APP_KEY).unlink()
    keep_keys(tmp_path)
    (tmp_path / APP_KEY).write_text("nonsense")
    with pytest.raises(KeyFileError, match=APP_KEY):
        keep_keys(tmp_path)


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64!", "é"])
def test_what_is_no_signature_does_not_verify(keys: Keys, signature: str) -> None:
    assert not verifies(keys.app.public_key(), signature, b"x")


def test_a_path_is_shown_as_it_would_be_typed_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "demo" / "reconciler.toml") == "demo/reconciler.toml"
    assert shown_path(tmp_path.parent / "x") == str(tmp_path.parent / "x")


def test_a_command_is_shown_as_this_program_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / ".venv" / "bin" / "reconciler"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [".venv/bin/reconciler", "demo"])
    assert command("explain", "A 1") == ".venv/bin/reconciler explain 'A 1'"
    monkeypatch.setenv("PATH", str(program.parent))
    assert command("explain", "A1") == "reconciler explain A1"
    monkeypatch.setattr(sys, "argv", ["/x/reconciler/__main__.py", "demo"])
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    assert command("ledger", "verify") == ".venv/bin/python -m reconciler ledger verify"
