from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Check = Callable[..., list[str]]

PEAR = '\n[channels.pear]\ngateway = "pear"\nserial_no = "1"\n'
CHANNEL = ('status = "status"', 'status = "status"\nchannel = "pay_id"')
WEBHOOK = '[settle.webhook]\nurl = "https://shop.example/paid?x=1"\nsecret = "env:APPLE_KEY"\n'
ATTEMPTS = '\n[shop.attempts]\ntable = "attempts"\nkey = "id"\norder = "order_id"\nout_trade_no = "no"\n'


def orders(more: str) -> tuple[str, str]:
    return 'status = "status"', f'status = "status"\n{more}'


def states(more: str) -> tuple[str, str]:
    return "settled_as = 2", more


def only(lines: list[str], start: str) -> None:
    assert len(lines) == 1, lines
    assert lines[0].startswith(start), lines


def test_what_is_written_must_not_be_what_is_compared(check: Check) -> None:
    only(check(orders('touch = ["updated_at", "Total"]')), "At shop.orders.touch[1]: names the same column as shop.ord")
    only(check(orders('paid_at = "status"')), "At shop.orders.paid_at: names the same column as shop.orders.status")
    only(check(more="[shop.orders.set]\nid = 1\n"), "At shop.orders.set.id: names the same column as shop.orders.key")
    only(check(more="[shop.orders.set]\ntrade_no = 1\n"), "At shop.orders.set.trade_no: names the same column")
    only(
        check(('amount = "total"', 'amount = "status"')),
        "At shop.orders.status: names the same column as shop.orders.a",
    )
    assert check(('key = "id"', 'key = "order_sn"')) == []


def test_states_must_not_overlap_and_hold_what_is_written(check: Check) -> None:
    only(check(("closed = [-1]", 'closed = ["3"]')), "At shop.orders.states.closed: holds a value that paid holds too")
    only(check(("paid = [2, 3]", "paid = [2, 3, 2]")), "At shop.orders.states.paid: holds a value twice")
    only(check(states("settled_as = 1")), "At shop.orders.states.settled_as: must be one of paid")
    only(check(states('settled_as = "2"')), "At shop.orders.states.settled_as: must be one of paid, written as it is")
    only(check(states("settled_as = 2\nclosed_as = 2")), "At shop.orders.states.closed_as: must be one of closed")
    only(
        check(("pending = [1]", "pending = []")), "At shop.orders.states.pending: must not be empty, like pending = [1]"
    )


def test_a_limit_is_on_a_status_that_orders_have(check: Check) -> None:
    for known in ("1", "2", "-1"):
        assert check(more=f'[processing_limits]\n"{known}" = "10m"\n') == []
    only(
        check(more='[processing_limits]\n"20" = "10m"\n'),
        "At processing_limits.20: is no value of shop.orders.states; write one of 1, 2, 3, -1, or give it a state",
    )
    assert len(check(states("settled_as = 1"), more='[processing_limits]\n"20" = "10m"\n')) == 2


def test_true_is_not_one_where_the_status_to_write_is_chosen(check: Check) -> None:
    only(
        check(("paid = [2, 3]", "paid = [true]"), states("settled_as = 1"), ("pending = [1]", "pending = [0]")),
        "At shop.ord",
    )
    assert (
        check(("paid = [2, 3]", "paid = [true]"), states("settled_as = true"), ("pending = [1]", "pending = [false]"))
        == []
    )


def test_several_channels_need_a_column_to_be_told_apart_by(check: Check) -> None:
    only(check(more=PEAR), "At shop.orders.channel: is missing, and there are 2 channels")
    assert check(more=PEAR + '[ask]\nchannels = "all"\n') == []


def test_a_mapped_channel_column_needs_each_channels_values(check: Check) -> None:
    assert check(CHANNEL) == []
    assert [line.split(":")[0] for line in check(CHANNEL, more=PEAR)] == [
        "At channels.apple.shop_values",
        "At channels.pear.shop_values",
    ]
    assert check(CHANNEL, more=PEAR + '[ask]\nchannels = "all"\n') == []


def test_values_without_a_channel_column_are_refused_where_there_are_several_channels(check: Check) -> None:
    assert check(more="shop_values = [1]\n") == [], "a single channel owns every row"
    asking_all = '[ask]\nchannels = "all"\n'
    only(
        check(more="shop_values = [1]\n" + PEAR + asking_all),
        "At channels.apple.shop_values: has no column to be compared with",
    )
    only(check(("[shop]\n", "[shop]\nignore_channels = [7]\n")), "At shop.ignore_channels: has no column")


def test_the_channel_column_may_be_that_of_the_attempts(check: Check) -> None:
    assert check(more="shop_values = [1]\n" + ATTEMPTS + 'channel = "code"\n') == []


def test_one_shop_value_belongs_to_one_channel(check: Check) -> None:
    more = "shop_values = [1, 3]\n" + PEAR + 'shop_values = ["3", "x"]\n'
    only(check(CHANNEL, more=more), "At channels.pear.shop_values: claims a value that is channels.apple's too")
    ignoring = ("[shop]\n", "[shop]\nignore_channels = [3]\n")
    only(
        check(CHANNEL, ignoring, more="shop_values = [3]\n"),
        "At channels.apple.shop_values: claims a value that shop.ig",
    )


def test_one_account_has_one_name(check: Check) -> None:
    again = '\n[channels.again]\ngateway = "apple"\napp_id = "1"\nprivate_key = "env:APPLE_KEY"\n'
    more = "shop_values = [1]\n" + again + "shop_values = [2]\n"
    only(check(CHANNEL, more=more), "At channels.again: is the same account as channels.apple")
    assert check(CHANNEL, more=more.replace('"1"', '"2"')) == []


def test_the_number_is_left_out_only_where_attempts_have_it(check: Check) -> None:
    without = ('out_trade_no = "order_sn"\n', "")
    only(check(without), 'At shop.orders.out_trade_no: this key is missing; add it: out_trade_no = "order_sn"')
    assert check(without, more=ATTEMPTS) == []


def test_the_attempts_have_a_table_of_their_own(check: Check) -> None:
    only(check(more=ATTEMPTS.replace('"attempts"', '"ORDERS"')), "At shop.attempts.table: is the table of shop.orders")
    only(
        check(more=ATTEMPTS + 'amount = "order_id"\n'),
        "At shop.attempts.amount: names the same column as shop.attempts.o",
    )


def test_closing_needs_a_status_to_write_and_an_update(check: Check) -> None:
    only(check(more="[settle]\nclose = true\n"), "At settle.close: needs shop.orders.states.closed_as")
    closed_as = states("settled_as = 2\nclosed_as = -1")
    assert check(closed_as, more="[settle]\nclose = true\n") == []
    only(
        check(closed_as, more='[settle]\nclose = true\nby = "webhook"\n' + WEBHOOK),
        'At settle.close: needs by = "update"',
    )


def test_reviving_where_nothing_could_be_revived_is_no_fault(check: Check) -> None:
    """Such late payments are cases: decide() says so, and says why."""
    assert check(('transaction_id = "trade_no"\n', ""), more='[settle]\nlate_payment = "revive"\n') == []


def test_a_webhook_needs_its_table_and_settles_one_order_at_a_time(check: Check) -> None:
    only(check(more='[settle]\nby = "webhook"\n'), "At settle.webhook: is missing")
    shared = orders("shared_payment = true")
    only(check(shared, more='[settle]\nby = "webhook"\n' + WEBHOOK), "At shop.orders.shared_payment: needs settle.by")


def test_a_webhook_settles_in_enforce_mode(check: Check) -> None:
    assert check(top='mode = "enforce"\n', more='[settle]\nby = "webhook"\n' + WEBHOOK) == []


def test_the_ledger_is_never_in_the_shops_database(check: Check, tmp_path: Path) -> None:
    only(check(top='ledger.url = "sqlite:////srv/shop/../shop/shop.db"\n'), "At ledger.url: is the shop's own database")
    one, other = tmp_path / "one.db", tmp_path / "other.db"
    one.touch()
    other.hardlink_to(one)
    shop = ("/srv/shop/shop.db", str(one))
    only(check(shop, top=f'ledger.url = "sqlite:///{other}"\n'), "At ledger.url: is the shop's own database")
    for scheme, port in (("mysql", 3306), ("postgresql", 5432)):
        server = ("sqlite:////srv/shop/shop.db", f"{scheme}://a@127.0.0.1/shop")
        only(check(server, top=f'ledger.url = "{scheme}://b@localhost:{port}/shop"\n'), "At ledger.url: is the shop's")
        assert check(server, top=f'ledger.url = "{scheme}://b@localhost:{port}/ledger"\n') == []


def test_a_password_is_for_servers_only(check: Check) -> None:
    only(
        check(("[shop]\n", '[shop]\npassword = "env:APPLE_KEY"\n')), "At shop.password: an SQLite file has no password"
    )
    only(
        check(("[shop]\n", '[shop]\nsession_time_zone = "UTC"\n')),
        "At shop.session_time_zone: an SQLite file has no sessions",
    )
    only(check(top='ledger.password = "env:APPLE_KEY"\n'), "At ledger.password: an SQLite file has no password")


def test_a_replica_is_of_the_same_kind(check: Check) -> None:
    only(check(("[shop]\n", '[shop]\nread_url = "mysql://h/d"\n')), "At shop.read_url: is another kind of database")


def test_a_certificate_authority_is_of_no_use_without_tls(check: Check) -> None:
    only(check(("[shop]\n", '[shop]\ntls = "off"\ntls_ca = "env:APPLE_KEY"\n')), "At shop.tls_ca: is of no use")


def test_the_window_and_the_ledger_reach_as_far_as_orders_are_asked_about(check: Check) -> None:
    only(check(more='[find]\nwindow = "1d"\n'), 'At find.window: must reach the last of ask.ages, "48h", at least')
    only(check(top='ledger.keep = "5d"\n'), 'At ledger.keep: must be "7d" at least')


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('channel = "pay_id"', "channel = 5"),
        ('channel = "pay_id"', 'chanel = "pay_id"'),
        ('transaction_id = "trade_no"', "transaction_id = 5"),
        ("closed_as = -1", "closed_as = 1.5"),
        ('order_no = "order_sn"\nout_trade_no', 'order_no = "order_sn"\nout_trade_noo'),
        ("shop_values = [4]", "shop_values = 4"),
        ('keep = "400d"', 'keep = "400"'),
        ("[settle.webhook]", "[settle.webhok]"),
    ],
)
def test_a_key_with_a_fault_is_not_called_missing_too(check: Check, old: str, new: str) -> None:
    more = "shop_values = [3]\n" + PEAR + "shop_values = [4]\n"
    more += '[settle]\nclose = true\nlate_payment = "revive"\n' + WEBHOOK
    top = 'ledger.keep = "400d"\n'
    healthy = (CHANNEL, states("settled_as = 2\nclosed_as = -1"))
    assert check(*healthy, more=more, top=top) == []
    if old in more + top:
        lines = check(*healthy, more=more.replace(old, new), top=top.replace(old, new))
    else:
        lines = check(*healthy, (old, new), more=more, top=top)
    assert len(lines) == 1, lines


def test_a_fault_in_a_table_does_not_hide_the_rules_that_its_other_keys_break(check: Check) -> None:
    lines = check(more='[settle]\nclosee = 1\nby = "webhook"\nclose = true\n' + WEBHOOK, top='mode = "enforce"\n')
    assert [line.split(": ")[0] for line in lines] == [
        "At settle.closee",
        "At settle.close",
        "At settle.close",
    ]
    lines = check(orders('touch = ["total"]\ncurrency = "yuan"'))
    assert [line.split(": ")[0] for line in lines] == ["At shop.orders.currency", "At shop.orders.touch[0]"]


@pytest.mark.parametrize("value", ["{foo}", "{transaction_ID}", "wx-{transaction_id}", "{}"])
def test_a_placeholder_is_one_of_those_known_and_stands_alone(check: Check, value: str) -> None:
    (line,) = check(more=f'[shop.orders.set]\nnote = "{value}"\n')
    assert line.startswith(
        "At shop.orders.set: gives note a placeholder that is not one of {out_trade_no}, {transaction_id}"
    )
    assert check(more='[shop.orders.set]\nnote = "{transaction_id}"\nextra = "{ }"\n') == []


@pytest.mark.parametrize("currency", ["cny", "RMBX", "元", "C1Y", ""])
def test_a_currency_is_three_capital_letters(check: Check, currency: str) -> None:
    only(check(orders(f'currency = "{currency}"')), "At shop.orders.currency: is not a currency code")
