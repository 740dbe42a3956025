from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from reconciler.settings.channel import Endpoint, ShopValues
from reconciler.settings.columns import Condition, Name, Value
from reconciler.settings.types import SocketPath, TimeZone, format_duration, parse_duration
from reconciler.settings.urls import Address, DatabaseUrl, Listen, WebUrl, password_in


def takes(kind: Any, value: object) -> object:  # noqa: ANN401 # an annotation is no type
    return TypeAdapter[Any](kind).validate_python(value)


def refuses(kind: Any, value: object) -> str:  # noqa: ANN401 # an annotation is no type
    with pytest.raises(ValidationError) as caught:
        takes(kind, value)
    return caught.value.errors()[0]["msg"]


@given(st.integers(0, 10**11))
def test_a_duration_reads_as_it_was_written(ms: int) -> None:
    value = timedelta(milliseconds=ms)
    text = format_duration(value)
    if len(text) <= 9:
        assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "5", "5 m", "-5m", "1.5h", "٣s", "5w", "9999999999d", "999999999d1", "1h30m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration|longer than"):
        parse_duration(text)


@pytest.mark.parametrize(
    "url",
    ["https://a.example", "https://a.example:8443/x", "http://127.0.0.1:8080/x", "http://localhost", "http://[::1]:1"],
)
def test_an_endpoint_is_https_or_a_loopback_address(url: str) -> None:
    assert takes(Endpoint, url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example/",
        "http://127.0.0.1@evil.example/",
        "http://evil.example\\@127.0.0.1/",
        "http://10.0.0.5/",
        "https://user:pass@a.example",
        "https://a.example?x=1",
        "https://a.example?",
        "https://a.example#x",
        "https://a example",
        "https://a.example\n",
        "https://",
        "https://[::1",
        "https://a:99999",
        "ftp://a.example",
        "",
        "https://" + "a" * 3000,
    ],
)
def test_another_endpoint_is_refused(url: str) -> None:
    refuses(Endpoint, url)


def test_an_endpoint_loses_its_last_slash() -> None:
    assert takes(Endpoint, "https://a.example/") == "https://a.example"


def test_shop_values_are_kept_as_text() -> None:
    assert takes(ShopValues, [3, "zfbf2f", True]) == ("3", "zfbf2f", "1")
    refuses(ShopValues, [3, "3"])
    refuses(ShopValues, [1.5])
    refuses(ShopValues, "3")


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////srv/shop.db",
        "sqlite:///shop.db",
        "mysql://u@127.0.0.1:3306/shop",
        "postgresql://h/shop",
        "mysql:///shop?unix_socket=/run/mysqld/mysqld.sock",
        "postgresql:///shop?host=/run/postgresql",
        "postgresql:///shop?host=/run/postgresql&port=5433",
        "mysql://a%40b@h/shop",
    ],
)
def test_a_database_url_names_a_kind_a_place_and_a_database(url: str) -> None:
    assert takes(DatabaseUrl, url) == url


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite://shop.db",
        "sqlite:///:memory:",
        "sqlite:////x.db?mode=ro",
        "mysql://h",
        "mysql:///shop",
        "mysql://h/a/b",
        "mysql://u:secret@h/shop",
        "mysql://u:@h:x/shop",
        "postgresql://h/shop?password=secret",
        "postgresql://u@/shop?host=db.example",
        "postgresql://h/shop?sslmode=disable",
        "mysql://h/shop?charset=gbk",
        "mysql://u@/shop?unix_socket=mysqld.sock",
        "mysql://h/shop?init_command=",
        "postgres://h/shop",
        "mariadb://h/shop",
        "mysql+asyncmy://h/shop",
        "oracle://h/shop",
        "shop",
        "mysql://h/sh op",
        5,
    ],
)
def test_another_database_url_is_refused_without_its_password(url: object) -> None:
    assert "secret" not in refuses(DatabaseUrl, url)


def test_a_password_is_found_wherever_a_url_carries_it() -> None:
    assert password_in("mysql://u:p@h/d") == "p"
    assert password_in("postgresql:///d?user=u&password=p") == "p"
    assert password_in("mysql://u@h/d?charset=utf8mb4") is None


@pytest.mark.parametrize(
    ("value", "address"),
    [("127.0.0.1:9470", Address("127.0.0.1", 9470)), ("[::1]:0", Address("::1", 0)), ("off", None), ("", None)],
)
def test_an_address_is_host_and_port_or_off(value: str, address: Address | None) -> None:
    assert takes(Listen, value) == address
    assert takes(Listen, str(address or "off")) == address


@pytest.mark.parametrize("value", ["9470", ":9470", "::1:9470", "h:99999", "h:-1", "h:x", "a b:1", 9470, True, [1]])
def test_another_address_is_refused(value: object) -> None:
    refuses(Listen, value)


@pytest.mark.parametrize("value", ["Asia", "Mars/Olympus", "../../etc/passwd", "/etc/localtime", "", "a\x00b", 8])
def test_what_is_no_time_zone_is_refused(value: object) -> None:
    refuses(TimeZone, value)


@pytest.mark.parametrize("value", ["x.sock", "/" + "x" * 107, "/a\nb", 5])
def test_what_is_no_socket_path_is_refused(value: object) -> None:
    refuses(SocketPath, value)


@pytest.mark.parametrize("value", ["", "`id`", '"id"', "a;b", " a", "a\nb", "x" * 129, 5, None])
def test_what_is_no_column_is_refused(value: object) -> None:
    refuses(Name, value)


def test_a_column_may_have_a_chinese_name() -> None:
    assert takes(Name, "订单号") == "订单号"


@pytest.mark.parametrize("value", [1, -1, "paid", "已支付", True, "", 2**63 - 1])
def test_a_shop_value_keeps_its_type(value: object) -> None:
    assert takes(Value, value) == value
    assert type(takes(Value, value)) is type(value)


@pytest.mark.parametrize("value", [1.5, None, [1], "x" * 256, "a\x00", 2**63, timedelta(1)])
def test_another_shop_value_is_refused(value: object) -> None:
    refuses(Value, value)


@pytest.mark.parametrize(
    "condition",
    ["deleted_at IS NULL", "(a = 1 OR b = 2) AND c IN (1, 2)", "x = 'a;b--(' AND `y` = \"(\"", "x = 'it''s'"],
)
def test_one_condition_is_taken(condition: str) -> None:
    assert takes(Condition, condition) == condition


@pytest.mark.parametrize(
    "condition",
    [
        "",
        " ",
        "a = 1) OR (1 = 1",
        "a = 1; DROP TABLE x",
        "a = 1 -- live",
        "a /* x",
        "a = 'x",
        "a = 'x\\' OR '",
        "((a)",
        5,
    ],
)
def test_what_would_break_out_of_its_brackets_is_refused(condition: object) -> None:
    refuses(Condition, condition)


@pytest.mark.parametrize(
    "url", ["http://shop.example/", "https://u:p@shop.example/", "ftp://h/", "https://", "https://h/#x", "x", 5]
)
def test_what_is_no_address_for_a_webhook_is_refused(url: object) -> None:
    refuses(WebUrl, url)
    assert takes(WebUrl, "https://h/index.php?route=paid") == "https://h/index.php?route=paid"
