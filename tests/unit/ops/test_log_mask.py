"""What never reaches the log."""

from __future__ import annotations

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
