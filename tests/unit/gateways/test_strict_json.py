from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.gateways.strict_json import (
    DEPTH_MAX,
    MEMBERS_MAX,
    Malformed,
    begins_like_an_object,
    cut,
    parse_object,
    parse_string,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES, min_size=1, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_every_member_is_cut_out_whole(members: dict[str, object], indent: int | None, ascii_only: bool) -> None:
    body = json.dumps(members, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        body.decode()
    except UnicodeDecodeError:
        return
    assert {name: json.loads(raw) for name, raw in cut(body).items()} == members


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\ a1', max_size=60).map(str.encode))
def test_any_bytes_are_cut_parsed_or_malformed(body: bytes) -> None:
    for read in (cut, parse_object, parse_string):
        try:
            read(body)
        except Malformed:
            continue


@given(st.text(alphabet='{}[]":,\\ ae1', max_size=40).map(lambda text: b'{"a":' + text.encode() + b"}"))
def test_what_json_takes_for_one_member_the_cut_takes_for_the_same(body: bytes) -> None:
    try:
        expected = json.loads(body, object_pairs_hook=list)
    except ValueError:
        return
    if len({name for name, _ in expected}) < len(expected):
        with pytest.raises(Malformed):
            cut(body)
        return
    assert {name: json.loads(raw, object_pairs_hook=list) for name, raw in cut(body).items()} == dict(expected)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"a"',
        b'{"a":1',
        b'{"a":1}x',
        b'{"a":1}{"a":1}',
        b'{"a":1,}',
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":[}',
        b'{"a":[{]}}',
        b'{"a":"b}',
        b'{"a"}',
        b'{"a":}',
        b"{a:1}",
        b'{"a":1 "b":2}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"\xff":1}',
        b'{"a":' + b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1) + b"}",
        b"{" + b",".join(b'"%d":1' % n for n in range(MEMBERS_MAX + 1)) + b"}",
    ],
)
def test_what_is_not_one_plain_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        cut(body)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":[{"b":1,"\\u0062":2}]}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\xff"}',
        b'{"a":"\x00"}',
        b'{"a":1}\x00',
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[1]",
        b"null",
        b"",
    ],
    ids=range(14),
)
def test_what_two_parsers_could_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_object(raw)


def test_brackets_in_strings_do_not_count() -> None:
    raw = json.dumps({"a": "{[" * 100 + '"\\', "b": "}"}).encode()
    assert cut(b'{"x":' + raw + b',"y":1}') == {"x": raw, "y": b"1"}
    assert parse_object(raw)["b"] == "}"


@pytest.mark.parametrize("body", [b'{"a":"' + b'\\"' * 400_000, b'{"' + b'\\"' * 400_000, b'{"a":[' + b'"\\' * 400_000])
def test_a_megabyte_of_quotes_takes_no_quadratic_time(body: bytes) -> None:
    begun = time.process_time()
    with pytest.raises(Malformed):
        cut(body)
    with pytest.raises(Malformed):
        parse_object(body)
    assert time.process_time() - begun < 5  # linear takes milliseconds, quadratic hours


def test_a_page_in_html_does_not_begin_like_an_object() -> None:
    assert begins_like_an_object(b' \r\n{"a":1}')
    assert not begins_like_an_object(b"<html>{</html>")
    assert not begins_like_an_object(b"")


def test_an_empty_or_null_string_is_none() -> None:
    assert parse_string(b'""') is None
    assert parse_string(b"null") is None
    assert parse_string(b'"a\\/b"') == "a/b"
    with pytest.raises(Malformed):
        parse_string(b"1")
