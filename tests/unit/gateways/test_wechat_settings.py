"""Which keys a WeChat Pay channel is given, and what is said where they do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.unit.gateways.wechat_bench import settings


@pytest.mark.parametrize(("public_key", "apiv3_key"), [(True, False), (False, True), (True, True)])
def test_public_key_certificates_or_both(tmp_path: Path, *, public_key: bool, apiv3_key: bool) -> None:
    made = settings(tmp_path, public_key=public_key, apiv3_key=apiv3_key)
    assert list(made.problems()) == []


def test_without_any_key_all_ways_are_named(tmp_path: Path) -> None:
    ((name, text),) = settings(tmp_path, public_key=False, apiv3_key=False).problems()
    assert name == "public_key_id"
    assert "public_key (" in text
    assert "or apiv3_key" in text


@pytest.mark.parametrize("apiv3_key", [False, True])
@pytest.mark.parametrize("missing", ["public_key", "public_key_id"])
def test_half_a_public_key_is_a_problem(tmp_path: Path, missing: str, *, apiv3_key: bool) -> None:
    whole = settings(tmp_path, public_key=True, apiv3_key=apiv3_key)
    assert [name for name, _ in whole.model_copy(update={missing: None}).problems()] == [missing]


@pytest.mark.parametrize("length", [16, 24, 31, 33])
def test_an_apiv3_key_is_32_bytes(tmp_path: Path, length: int) -> None:
    made = settings(tmp_path, public_key=True, apiv3_key=True)
    (tmp_path / "apiv3").write_bytes(b"k" * length)
    ((name, text),) = made.problems()
    assert name == "apiv3_key"
    assert "32 bytes" in text
    assert "kkk" not in text


@pytest.mark.parametrize("field", ["sub_mchid", "sub_appid"])
@pytest.mark.parametrize("value", ["", "1&mchid=2", "1\n", "é", "1" * 33])
def test_what_would_break_out_of_a_query_is_no_setting(tmp_path: Path, field: str, value: str) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path, public_key=True, apiv3_key=False, **{field: value})
