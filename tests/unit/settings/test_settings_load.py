from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.settings import ChannelSettings, ConfigurationError, Settings, load, parse
from reconciler.settings.load import FILE_BYTES_MAX
from reconciler.settings.urls import Address

Check = Callable[..., list[str]]
Parse = Callable[..., Settings]
Gateways = Mapping[str, type[ChannelSettings]]


def refusal(text: str, gateways: Gateways) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, gateways)
    return str(caught.value)


def test_a_small_file_gets_the_defaults(parsed: Parse) -> None:
    settings = parsed()

    assert settings.mode == "observe"
    assert settings.ledger.url == "sqlite:////var/lib/reconciler/ledger.db"
    assert settings.http.listen == Address("127.0.0.1", 9470)
    assert settings.shop.time_zone.key == "Asia/Shanghai"
    assert settings.shop.orders.states.paid == (2, 3)
    assert settings.channels["apple"].rate == 20
    assert settings.channels["apple"].model_dump()["private_key"] == "env:APPLE_KEY"
    assert settings.settle.brake_yuan_per_hour.fen == 20_000_000


def test_the_mode_of_the_command_line_wins(base: str, gateways: Gateways) -> None:
    assert parse('mode = "observe"\n' + base, gateways, mode="enforce").mode == "enforce"


def test_the_window_reaches_past_the_last_age(parsed: Parse) -> None:
    assert parsed().find.window == timedelta(days=7)
    assert parsed(more='[ask]\nages = ["30s", "10d"]\n').find.window == timedelta(days=11)
    assert parsed(more='[ask]\nages = ["30s", "10d"]\n[find]\nwindow = "10d"\n').find.window == timedelta(days=10)


def test_faults_of_all_three_passes_come_in_one_run(base: str, gateways: Gateways) -> None:
    text = base.replace("settled_as = 2", "settled_as = 9").replace('app_id = "1"', "app_idd = 1")
    text = text.replace("APPLE_KEY", "NOWHERE") + '[ask]\ntimeout = 5\n[alerts]\ntargets = ["credential:gone"]\n'

    assert [line.split(": ")[0] for line in refusal(text, gateways).splitlines()] == [
        "At ask.timeout",
        "At channels.apple.app_id",
        "At channels.apple.app_idd",
        "At shop.orders.states.settled_as",
        "At alerts.targets[0]",
        "At channels.apple.private_key",
    ]


def test_the_order_of_faults_is_not_that_of_the_file(base: str, gateways: Gateways) -> None:
    one, other = "[log]\nformat = 1\n", '[audit]\nrate = "x"\n'
    assert refusal(base + one + other, gateways) == refusal(base + other + one, gateways)


def test_an_unknown_key_is_answered_with_the_nearest_one(check: Check) -> None:
    assert check(more="[ask]\ntimout = 5\n") == ["At ask.timout: unknown key; did you mean `timeout`?"]
    assert check(more='[channels.p]\ngateway = "pear"\nserial = "x"\nshop_values = [1]\n')[0].startswith(
        "At channels.p.serial: unknown key; did you mean `serial_no`?"
    )


def test_an_unknown_key_like_no_other_is_answered_with_those_that_exist(check: Check) -> None:
    assert check(more="[log]\nzzz = 1\n") == ["At log.zzz: unknown key; known here: `format`"]


def test_a_key_that_needs_quotes_is_shown_with_them(check: Check) -> None:
    assert check(more='[log]\n"a.b\\n" = 1\n')[0].startswith('At log."a.b\\n": unknown key')


def test_an_unknown_gateway_is_answered_with_those_that_exist(check: Check) -> None:
    assert check(('gateway = "apple"', 'gateway = "appel"')) == [
        'At channels.apple.gateway: names no gateway that exists; did you mean "apple"? (there are: "apple", "pear")'
    ]
    assert "names no gateway" in check(('gateway = "apple"', "gateway = [1]"))[0]
    assert 'add it: gateway = "apple"' in check(('gateway = "apple"\n', ""))[0]


@pytest.mark.parametrize("channels", ["", "channels = 5\n", "[channels]\n", "channels.x = 5\n", '[channels."a b"]\n'])
def test_channels_that_are_none_are_refused(base: str, gateways: Gateways, channels: str) -> None:
    text = base[: base.index("[channels.apple]")]
    answer = refusal(channels + text if "=" in channels else text + channels, gateways)
    assert "At channels" in answer


def test_an_empty_file_says_what_is_missing(credentials: Path, gateways: Gateways) -> None:
    channels, shop = refusal("", gateways).splitlines()
    assert channels.startswith("At channels: needs one channel at least (at most 10000); add a table like [channels.")
    assert shop == "At shop: this table is missing; add it with its keys"


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ('mode = "enfroce"', 'At mode: must be "observe" or "enforce"'),
        ("ask = 5", "At ask: must be a table: [ask]"),
        ("ask.ages = 5", "At ask.ages: must be a list"),
        ('ask.ages = "learnt"', "At ask.ages: must be a list"),
        ("ask.per_order = 0.4", "At ask.per_order: must be at least 0.5, like per_order = 4.0"),
        ("ask.per_order = 21", "At ask.per_order: must be at most 20.0, like per_order = 4.0"),
        ("ask.ages = []", "At ask.ages: must not be empty"),
        ('ask.ages = ["1m", "30s"]', 'At ask.ages: must grow from each age to the next, like ["30s", "1m", "2m"]'),
        ('ask.ages = ["0s"]', 'At ask.ages[0]: must be from "10ms" to "3650d"'),
        ("ask.ages = [30]", 'At ask.ages[0]: is not a duration; write it like "30s", "5m", "2h" or "400d"'),
        ("ask.untrusted_limit = true", "At ask.untrusted_limit: must be a whole number without quotes, like"),
        ("ask.untrusted_limit = 0", "At ask.untrusted_limit: must be at least 1, like untrusted_limit = 5"),
        ("ask.untrusted_limit = 10000", "At ask.untrusted_limit: must be at most 1000, like untrusted_limit = 5"),
        ("settle.close = 1", "At settle.close: must be true or false without quotes, like close = false"),
        ("settle.review_over = 5000.0", "At settle.review_over: is not an amount; write yuan in quotes"),
        ('settle.review_over = "1.234"', "At settle.review_over: is not an amount; write yuan in quotes"),
        ("audit.rate = nan", "At audit.rate: must be a finite number, like rate = 1.0"),
        ("audit.rate = 2026-01-01", "At audit.rate: must be a number without quotes, like rate = 1.0"),
        ('log.format = "xml"', 'At log.format: must be "auto", "journald", "console" or "json"'),
        ("processing_limits = 5", "At processing_limits: must be a table"),
        ("processing_limits.2 = 5", "At processing_limits.2: is not a duration"),
        ('http.listen = "9470"', "At http.listen: is not an address; write host and port"),
        ("http.listen = 9470", "At http.listen: is not an address; write host and port"),
        ('control.socket = "x.sock"', "At control.socket: is not an absolute path"),
        ('find.every = "2d"', 'At find.every: must be from "10ms" to "1h"'),
        ('settle.webhook.url = "http://shop.example/"', "At settle.webhook.url: must begin with https://"),
    ],
)
def test_each_fault_is_told_in_plain_words(check: Check, fault: str, answer: str) -> None:
    answers = check(top=fault + "\n")
    assert any(line.startswith(answer) for line in answers), answers
    assert not any("nput should" in line or "alid " in line for line in answers)


@pytest.mark.parametrize("ages", ['["2h1m"]', '["0s", 30]'])
def test_a_list_whose_values_have_faults_is_not_called_empty(check: Check, ages: str) -> None:
    answers = check(top=f"ask.ages = {ages}\n")
    assert [answer.partition(":")[0] for answer in answers] == [
        f"At ask.ages[{at}]" for at in range(ages.count(",") + 1)
    ]


def test_a_pasted_secret_is_never_shown(base: str, gateways: Gateways) -> None:
    pasted = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
    text = base.replace('"env:APPLE_KEY"', f'"{pasted}"')
    for extra in (
        f'alerts.targets = ["{pasted}", "credential:{pasted}"]\nsettle.webhook.secret = "env:{pasted}+/"\n',
        f'ledger.password = "{pasted}"\nledger.url = "mysql://u:{pasted}@h/d"\naudit.rate = "{pasted}"\n',
        f'settle.webhook.url = "https://u:{pasted}@h/"\nlog.format = "{pasted}"\nask.timeout = "{pasted}"\n',
        f'settle.review_over = "{pasted}"\nhttp.listen = "{pasted}"\nmode = "{pasted}"\n',
        f'channels.p.gateway = "{pasted}"\nchannels.q.endpoint = "{pasted}"\nchannels.q.gateway = "apple"\n',
    ):
        answer = refusal(extra + text, gateways)
        assert len(answer.splitlines()) > extra.count("\n")
        assert pasted[:20] not in answer


def test_a_syntax_error_stands_alone_and_says_where(gateways: Gateways) -> None:
    assert refusal("mode = observe\ncolour = \n", gateways) == (
        "At configuration: is not TOML: Invalid value (at line 1, column 8)"
    )


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = 1" + "0" * 5000])
def test_toml_beyond_measure_is_refused_in_plain_words(gateways: Gateways, text: str) -> None:
    assert "too deep" in refusal(text, gateways)


def test_a_file_that_cannot_be_read_is_one_clear_fault(tmp_path: Path, gateways: Gateways) -> None:
    (tmp_path / "latin").write_bytes(b"mode = 'observe'\n# caf\xe9\n")
    (tmp_path / "large").write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    for path, words in [
        (tmp_path / "none.toml", "there is no such file"),
        (tmp_path, "cannot be read (Is a directory)"),
        (tmp_path / "latin", "is not UTF-8 (line 2)"),
        (tmp_path / "large", "is larger than"),
        (Path("a\x00b"), "cannot be read (not a path)"),
    ]:
        with pytest.raises(ConfigurationError) as caught:
            load(path, gateways)
        assert len(caught.value.problems) == 1
        assert words in str(caught.value)


def test_a_file_is_loaded(tmp_path: Path, base: str, gateways: Gateways) -> None:
    path = tmp_path / "reconciler.toml"
    path.write_bytes(b"\xef\xbb\xbf" + base.replace("\n", "\r\n").encode())
    assert load(path, gateways).shop.orders.table == "orders"


def test_the_settings_cannot_be_changed(parsed: Parse) -> None:
    settings = parsed()
    with pytest.raises(ValueError, match="frozen"):
        settings.mode = "enforce"


def test_every_message_ends_on_one_line(base: str, gateways: Gateways) -> None:
    answer = refusal('"a\\nb" = 1\n[shop]\nurl = "x\\ny"\n', gateways)
    assert all(line.startswith("At ") for line in answer.split("\n")), answer


def test_a_report_has_an_end(base: str, gateways: Gateways) -> None:
    text = "".join(f"key{number} = 1\n" for number in range(1500)) + base
    lines = refusal(text, gateways).splitlines()
    assert (len(lines), lines[-1]) == (1001, "and 500 more")
