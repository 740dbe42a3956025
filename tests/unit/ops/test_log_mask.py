"""What never reaches the log."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from reconciler.ops.mask import Mask

PEM = """-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7
VJTUt9Us8cKjMzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDu
-----END PRIVATE KEY-----
"""


def test_a_secret_is_starred_wherever_it_stands() -> None:
    mask = Mask()
    mask.never_print([b"hunter22 \n", "s3cret/+="])

    assert mask.text("password hunter22, twice hunter22") == "password ***, twice ***"
    assert mask.field("why", ["a", "hunter22"]) == ["a", "***"]
    assert mask.text("https://x/?k=s3cret%2F%2B%3D") == "https://x/?k=***"


def test_a_key_is_starred_line_by_line() -> None:
    mask = Mask()
    mask.never_print([PEM])

    assert mask.text(f"cannot read {PEM.splitlines()[2]!r}") == "cannot read '***'"
    assert mask.text("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"


def test_the_longer_of_two_secrets_goes_first() -> None:
    mask = Mask()
    mask.never_print(["abcd", "abcdefgh"])

    assert mask.text("abcdefgh abcd") == "*** ***"


def test_a_secret_too_short_to_be_one_is_let_be() -> None:
    mask = Mask()
    mask.never_print(["", "abc"])

    assert mask.text("abc of it") == "abc of it"


def test_secrets_add_up() -> None:
    mask = Mask()
    mask.never_print(["first-secret"])
    mask.never_print(["second-secret"])

    assert mask.text("first-secret second-secret") == "*** ***"


@pytest.mark.parametrize("name", ["openid", "buyer_logon_id", "OPENID"])
def test_a_field_with_a_persons_name_is_starred(name: str) -> None:
    assert Mask().field(name, "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o") == "***"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('{"openid":"oUpF8","mchid":"190"}', '{"openid":"***","mchid":"190"}'),
        ("{'buyer_logon_id': '159****5620'}", "{'buyer_logon_id': '***'}"),
        ('{\\"sub_openid\\":\\"oABC\\"}', '{\\"sub_openid\\":\\"***\\"}'),
        ("buyer_user_id=2088101117955611&x=1", "buyer_user_id=***&x=1"),
        ("mysql://reconciler:hunter@db/shop is away", "mysql://reconciler:***@db/shop is away"),
        ("the openid is missing", "the openid is missing"),
    ],
)
def test_a_quoted_answer_gives_away_no_person_and_no_password(text: str, masked: str) -> None:
    assert Mask().text(text) == masked


def test_numbers_stay() -> None:
    assert Mask().field("asked", 7) == 7


@pytest.mark.parametrize("before", ["", "u", "u:", "u:p"])
def test_a_secret_is_starred_in_every_writing(before: str) -> None:
    mask, secret = Mask(), 'a "quoted" secret/with+signs'
    mask.never_print([secret])
    encoded = b64encode(f"{before}{secret} and more".encode()).decode()

    assert secret not in mask.text(json.dumps({"x": secret}))
    assert "***" in mask.text(json.dumps({"x": secret}))
    assert "***" in mask.text(secret.encode().hex())
    starred = mask.text(encoded)
    assert "***" in starred
    assert len(starred) < len(encoded) - len(secret), "but for what stands beside it"


def test_a_key_is_starred_line_by_line_in_base64_too() -> None:
    mask = Mask()
    mask.never_print([PEM])

    told = mask.text(b64encode(f"key: {PEM.splitlines()[1]}".encode()).decode())
    assert "***" in told
    assert len(told) < 20


def test_a_url_that_is_a_secret_is_starred_part_by_part() -> None:
    mask = Mask()
    mask.never_print(["https://qyapi.example/cgi-bin/webhook/send?key=693axxx6-7aoc-4bc4&x=1", "wecom://693ayyy6-7aoc"])

    assert mask.text("send failed: /webhook/send?key=693axxx6-7aoc-4bc4") == "send failed: /webhook/send?key=***"
    assert mask.text("key 693ayyy6-7aoc") == "key ***"
    assert mask.text("qyapi.example does not answer") == "qyapi.example does not answer"


@pytest.mark.parametrize(("field", "shown"), [("what", "***"), ("traceback", "***"), ("order_no", "aB3" + "x" * 20)])
def test_in_other_peoples_words_a_person_is_known_by_the_shape(field: str, shown: str) -> None:
    assert Mask().field(field, "aB3" + "x" * 20) == shown
