"""Each limit of what is read from a stranger, from both its sides: what is within passes, one more does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from reconciler.gateways.strict_json import (
    DEPTH_MAX,
    MEMBERS_MAX,
    OBJECT_MEMBERS_MAX,
    TOKENS_MAX,
    Malformed,
    begins_like_an_object,
    cut,
    object_of,
    parse_object,
    parse_string,
    text_of,
)

Read = Callable[[bytes], Mapping[str, object]]


def nested(levels: int, inside: bytes = b"") -> bytes:
    return b"[" * levels + inside + b"]" * levels


def members(count: int) -> bytes:
    return b"{" + b",".join(b'"%d":1' % number for number in range(count)) + b"}"


def listed(tokens: int) -> bytes:
    """Write a list of so many brackets and strings."""
    return b"[" + b",".join([b'""'] * (tokens - 2)) + b"]"


@pytest.mark.parametrize(
    "deep",
    [
        nested,
        lambda levels: b'{"a":' * levels + b"1" + b"}" * levels,
        lambda levels: nested(levels // 2, b"[]," + nested(levels - levels // 2)),
        lambda levels: nested(levels // 2, b'{"a":{}},' + nested(levels - levels // 2)),
    ],
    ids=["lists", "objects", "after a list was closed", "after an object was closed"],
)
def test_nesting_ends_at_its_limit_whatever_was_closed_before(deep: Callable[[int], bytes]) -> None:
    # To the cut the object itself is no level: what it cuts out is parsed on its own.
    for read, allowed in ((cut, DEPTH_MAX), (parse_object, DEPTH_MAX - 1)):
        assert read(b'{"a":' + deep(allowed) + b"}")
        with pytest.raises(Malformed, match=f"deeper than {DEPTH_MAX}"):
            read(b'{"a":' + deep(allowed + 1) + b"}")


@pytest.mark.parametrize("each", [b"[]", b"{}", b'{"b":[]}', b'[{"b":{}}]'])
@pytest.mark.parametrize("read", [cut, parse_object])
def test_what_lies_side_by_side_does_not_add_up_to_depth(read: Read, each: bytes) -> None:
    assert list(read(b'{"a":[' + b",".join([each] * (DEPTH_MAX + 1)) + b"]}")) == ["a"]


def test_an_envelope_has_so_many_members_and_no_more() -> None:
    assert len(cut(members(MEMBERS_MAX))) == MEMBERS_MAX
    with pytest.raises(Malformed, match=f"more than {MEMBERS_MAX} members"):
        cut(members(MEMBERS_MAX + 1))


def test_an_object_has_so_many_members_and_no_more_at_any_level() -> None:
    for wrap in (b"%b", b'{"a":[%b]}'):
        assert parse_object(wrap % members(OBJECT_MEMBERS_MAX))
        with pytest.raises(Malformed, match=f"more than {OBJECT_MEMBERS_MAX} members"):
            parse_object(wrap % members(OBJECT_MEMBERS_MAX + 1))


def test_a_text_has_so_many_brackets_and_strings_and_no_more() -> None:
    # The object's own brackets and the member's name count where the whole is parsed, and do not where it is cut.
    for read, allowed in ((cut, TOKENS_MAX), (parse_object, TOKENS_MAX - 3)):
        assert read(b'{"a":' + listed(allowed) + b"}")
        with pytest.raises(Malformed, match=f"more than {TOKENS_MAX} brackets and strings"):
            read(b'{"a":' + listed(allowed + 1) + b"}")


def test_escapes_count_too_within_one_string_and_spread_over_many() -> None:
    escapes = b"\\n" * (TOKENS_MAX - 3)  # with its string and the brackets around it: as many as there may be
    assert cut(b'{"a":["' + escapes + b'"]}')
    for body in (b'{"a":["%b\\n"]}' % escapes, b'{"a":["%b"," \\n"]}' % escapes[:-2]):
        with pytest.raises(Malformed, match=f"more than {TOKENS_MAX} brackets"):
            cut(body)
    assert cut(b'{"a":"' + b"\\n" * TOKENS_MAX + b'"}')
    with pytest.raises(Malformed, match=f"more than {TOKENS_MAX} escapes"):
        cut(b'{"a":"' + b"\\n" * (TOKENS_MAX + 1) + b'"}')


@pytest.mark.parametrize("body", [b'{"a":["b}', b'{"a":["b]}', b'{"a":{"b":"c}}'])
@pytest.mark.parametrize("read", [cut, parse_object])
def test_a_string_without_an_end_takes_nothing_with_it(read: Read, body: bytes) -> None:
    with pytest.raises(Malformed, match="a string does not end"):
        read(body)


def test_a_string_is_cut_out_up_to_its_own_end() -> None:
    assert cut(b'{"a":"b,}\\"","c":""}') == {"a": b'"b,}\\""', "c": b'""'}


def test_an_object_begins_with_a_brace_and_nothing_before_it() -> None:
    assert begins_like_an_object(b'{"a":1}')
    for body in (b'x{"a":1}', b'[{"a":1}]', b"[ {"):
        assert not begins_like_an_object(body)


def test_a_member_is_read_as_what_it_should_be_or_not_at_all() -> None:
    members = parse_object(b'{"text":"x","empty":"","number":7,"object":{"a":1},"list":[{"a":1}],"null":null}')
    texts = {name: text_of(members, name) for name in (*members, "missing")}
    assert {name: text for name, text in texts.items() if text is not None} == {"text": "x"}
    objects = {name: object_of(members, name) for name in (*members, "missing")}
    assert {name: value for name, value in objects.items() if value != {}} == {"object": {"a": 1}}


def test_white_space_of_json_is_passed_over_and_no_other() -> None:
    assert cut(b' \t\r\n{ \t\r\n"a" \t\r\n: \t\r\n1 \t\r\n, \t\r\n"b" \t\r\n: \t\r\n[ ] \t\r\n} \t\r\n') == {
        "a": b"1",
        "b": b"[ ]",
    }
    for body in (b'\x0b{"a":1}', b'{"a"\x0c:1}', b'{"a":1}\x00', b'\xc2\xa0{"a":1}'):
        with pytest.raises(Malformed):
            cut(body)


def test_what_is_malformed_says_how_without_quoting_it() -> None:
    for read, body, said in (
        (cut, b'{"secret":1,"secret":2}', "given twice"),
        (parse_object, b'{"secret":1,"secret":2}', "given twice"),
        (cut, b'{"a":1}secret', "something follows"),
        (cut, b"secret", "not a JSON object"),
        (cut, b'{"a":[secret}', "brackets do not match"),
        (cut, b'{"a":[secret', "bracket is not closed"),
        (cut, b'{"a":}', "value is missing"),
        (cut, b"{secret:1}", "name is missing"),
        (parse_object, b"[]", "not an object"),
        (parse_object, b"secret", "not JSON"),
        (parse_object, b'{"secret":NaN}', "NaN"),
        (parse_object, b'{"secret":"\xff"}', "not UTF-8"),
        (parse_string, b"7", "not a string"),
    ):
        with pytest.raises(Malformed, match=said) as problem:
            read(body)
        assert "secret" not in str(problem.value)
