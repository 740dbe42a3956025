"""JSON from a stranger: raw bytes first, everything bounded, nothing said twice.

Two parsers that disagree about one text are how a signature over one thing comes to vouch for another. So the signed
bytes are cut out as they came, and what repeats a member, nests too deep or trails off is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import NoReturn

DEPTH_MAX = 32
MEMBERS_MAX = 64
"""Of an envelope, which has three."""
OBJECT_MEMBERS_MAX = 1000
TOKENS_MAX = 20_000
"""Brackets and strings in one text, with their escapes: a megabyte of them would hold up every channel meanwhile."""

Json = Mapping[str, object]
"""A parsed object; `text_of` and its like are how to read a member."""

# No possessive quantifier in any of them: Python 3.11 before 3.11.5, which Debian 12 has, gets those wrong.
_SPACE = re.compile(rb"[ \t\n\r]*")
_SCALAR = re.compile(rb'[^\s,:{}\[\]"]+')
_MARK = re.compile(rb'[{}\[\]"]')
_QUOTE_OR_ESCAPE = re.compile(rb'"|\\.', re.DOTALL)
_OPENS = {b"{": b"}", b"[": b"]"}


class Malformed(Exception):
    """Not the JSON object that it should be; the text says why, without quoting it."""


def begins_like_an_object(body: bytes) -> bool:
    """Tell an answer that tries to be JSON from a proxy's HTML page."""
    return body[_space(body, 0) :][:1] == b"{"


def cut(body: bytes) -> dict[str, bytes]:
    """Cut an object into its members' values: the very bytes, as they came. Raises Malformed."""
    members: dict[str, bytes] = {}
    at = _expect(body, _space(body, 0), b"{")
    while True:
        at = _space(body, at)
        key, at = _key(body, at)
        if key in members:
            raise Malformed("a member is given twice")
        if len(members) >= MEMBERS_MAX:
            raise Malformed(f"more than {MEMBERS_MAX} members")
        start = _space(body, _expect(body, _space(body, at), b":"))
        end = _end_of_value(body, start)
        members[key] = body[start:end]
        at = _space(body, end)
        if body[at : at + 1] != b",":
            break
        at += 1
    at = _space(body, _expect(body, at, b"}"))
    if at != len(body):
        raise Malformed("something follows the object")
    return members


def parse_object(raw: bytes) -> Json:
    """Parse one object, refusing repeated members at every level. Raises Malformed."""
    value = _parse(raw)
    if not isinstance(value, dict):
        raise Malformed("not an object")
    return value


def parse_string(raw: bytes) -> str | None:
    """Parse a value that should be a string; None where it is null or empty. Raises Malformed."""
    value = _parse(raw)
    if value is not None and not isinstance(value, str):
        raise Malformed("not a string")
    return value or None


def text_of(members: Json, name: str) -> str | None:
    """Read a string member; None where it is missing, empty or no string."""
    value = members.get(name)
    return value if isinstance(value, str) and value else None


def object_of(members: Json, name: str) -> Json:
    """Read a member that is an object; an empty one where it is missing or something else."""
    value = members.get(name)
    return value if isinstance(value, dict) else {}


def _parse(raw: bytes) -> object:
    _check_depth(raw)
    try:
        return json.loads(raw.decode(), object_pairs_hook=_unrepeated, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise Malformed("not UTF-8") from error
    except ValueError as error:  # also an integer of more digits than Python takes
        raise Malformed("not JSON") from error


def _unrepeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(pairs) > OBJECT_MEMBERS_MAX:
        raise Malformed(f"more than {OBJECT_MEMBERS_MAX} members")
    members = dict(pairs)
    if len(members) < len(pairs):
        raise Malformed("a member is given twice")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise Malformed("not JSON: NaN or Infinity")


def _check_depth(raw: bytes) -> None:
    """Bound what the recursive parser is given: a million brackets end Python's stack, not the text."""
    if len(raw) <= TOKENS_MAX and raw.count(b"{") + raw.count(b"[") <= DEPTH_MAX and not raw.count(b'"') % 2:
        return  # as good as always: it cannot be nested deeper, nor have more tokens than bytes
    depth = 0
    for token, _ in _tokens(raw, 0):
        match token:
            case b"{" | b"[":
                depth += 1
                if depth > DEPTH_MAX:
                    raise Malformed(f"nested deeper than {DEPTH_MAX}")
            case b"}" | b"]":
                depth -= 1
            case _:
                pass


def _end_of_value(body: bytes, start: int) -> int:
    first = body[start : start + 1]
    if first in _OPENS:
        return _end_of_nested(body, start)
    if first == b'"':
        return _end_of_string(body, start + 1)[0]
    match = _SCALAR.match(body, start)
    if match is None:
        raise Malformed("a value is missing")
    return match.end()


def _end_of_nested(body: bytes, start: int) -> int:
    awaited: list[bytes] = []
    for token, end in _tokens(body, start):
        if token in _OPENS:
            awaited.append(_OPENS[token])
            if len(awaited) > DEPTH_MAX:
                raise Malformed(f"nested deeper than {DEPTH_MAX}")
        elif token != b'"':
            if awaited.pop() != token:
                raise Malformed("brackets do not match")
            if not awaited:
                return end
    raise Malformed("a bracket is not closed")


def _tokens(body: bytes, at: int) -> Iterator[tuple[bytes, int]]:
    """Give each bracket, and a quote for each string, with where it ends. Raises Malformed."""
    count = 0
    while (mark := _MARK.search(body, at)) is not None:
        token, at = mark[0], mark.end()
        count += 1
        if token == b'"':
            at, escapes = _end_of_string(body, at)
            count += escapes
        if count > TOKENS_MAX:
            raise Malformed(f"more than {TOKENS_MAX} brackets and strings")
        yield token, at


def _end_of_string(body: bytes, at: int) -> tuple[int, int]:
    """Say where a string ends that has begun before `at`, and how many escapes it has. Raises Malformed."""
    for escapes in range(TOKENS_MAX + 1):
        found = _QUOTE_OR_ESCAPE.search(body, at)
        if found is None:
            raise Malformed("a string does not end")
        at = found.end()
        if found[0] == b'"':
            return at, escapes
    raise Malformed(f"a string of more than {TOKENS_MAX} escapes")


def _key(body: bytes, at: int) -> tuple[str, int]:
    if body[at : at + 1] != b'"':
        raise Malformed("a member's name is missing")
    end, _ = _end_of_string(body, at + 1)
    name = _parse(body[at:end])  # decoded: "si\u0067n" is "sign" to every other parser
    assert isinstance(name, str)  # noqa: S101 # it is a string
    return name, end


def _expect(body: bytes, at: int, what: bytes) -> int:
    if body[at : at + 1] != what:
        raise Malformed("not a JSON object")
    return at + 1


def _space(body: bytes, at: int) -> int:
    match = _SPACE.match(body, at)
    return match.end() if match else at
