"""The doctor finds each planted fault and names the remedy; of a healthy set-up there is nothing to say."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509.oid import NameOID

from reconciler.doctor import Verdict
from reconciler.sandbox.keys import Keys, keep_keys
from tests.integration.doctor.patient import Patient, columns_of, orders, patient, troubles

FAULT, WARNING = Verdict.FAULT, Verdict.WARNING
BOTH = ("sqlite", "mysql")
ALL = ("sqlite", "mysql", "postgresql")
Plant = Callable[[Patient], Awaitable[None]]


@dataclass(frozen=True)
class Planted:
    """One fault, and what must be said of it."""

    name: str
    subject: str
    verdict: Verdict
    text: str
    remedy: str
    edits: tuple[tuple[str, str], ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    plant: Plant | None = None
    kinds: tuple[str, ...] = ("sqlite",)
    without_orders: bool = False


def mode(name: str, bits: int) -> Plant:
    async def plant(made: Patient) -> None:
        (made.keys / name).chmod(bits)

    return plant


def removed(name: str) -> Plant:
    async def plant(made: Patient) -> None:
        (made.keys / name).unlink()

    return plant


def certified(ends_in: timedelta, *, others: bool = False) -> Plant:
    """Put the first channel into certificate mode, with a certificate of ours that ends so soon."""

    async def plant(made: Patient) -> None:
        key = _private(made.keys / ("gateway-alipay-key.pem" if others else "alipay-app-key.pem"))
        issuer = _private(made.keys / "gateway-alipay-root-key.pem")
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the application")]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Alipay")]))
            .public_key(key.public_key())
            .serial_number(4711)
            .not_valid_before(now - timedelta(days=700))
            .not_valid_after(now + ends_in)
            .sign(issuer, hashes.SHA256())
        )
        path = made.keys / "ours.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        path.chmod(0o600)
        made.edit(
            f'alipay_public_key = "file:{made.keys}/alipay-public-key.pem"',
            f'app_cert = "file:{path}"\nalipay_cert = "file:{made.keys}/alipay-cert.pem"\n'
            f'alipay_root_cert = "file:{made.keys}/alipay-root-cert.pem"',
        )

    return plant


def _private(path: Path) -> RSAPrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    return key


def script(*statements: str) -> Plant:
    async def plant(made: Patient) -> None:
        await made.base.script(*(each.replace("USER", f"{made.user}@`%%`") for each in statements))

    return plant


def ledger(content: str | bytes) -> Plant:
    """Put something where the ledger is to be."""

    async def plant(made: Patient) -> None:
        path = made.directory / "ledger" / "ledger.db"
        path.parent.mkdir(mode=0o700)
        if isinstance(content, bytes):
            path.write_bytes(content)
            return
        with closing(sqlite3.connect(path)) as file:
            file.executescript(content)

    return plant


def placed(*numbers: str, status: int = 1, age: timedelta = timedelta(minutes=6), **more: object) -> Plant:
    async def plant(made: Patient) -> None:
        for number in numbers:
            await made.order(number, status, age, **more)

    return plant


async def little_room(made: Patient) -> None:
    made.free = 10 * 1024 * 1024


async def less_room(made: Patient) -> None:
    made.free = 500 * 1024 * 1024


async def nobody_paid(made: Patient) -> None:
    made.book._trades.clear()


async def no_server(made: Patient) -> None:
    made.edit(made.url().rpartition("/")[0], "mysql://nobody@127.0.0.1:1")


async def another_user(made: Patient) -> None:
    made.edit(made.user, "reconciler_nobody")


async def no_file(made: Patient) -> None:
    made.edit("/shop.db", "/shoop.db")


async def writable_by_anybody(made: Patient) -> None:
    (made.directory / "shop.db").chmod(0o666)


async def configuration_of_anybody(made: Patient) -> None:
    made.config.touch()
    made.config.chmod(0o666)


async def down(made: Patient) -> None:
    made.edit(made.serving.alipay_endpoint, "http://127.0.0.1:9/gateway.do")


async def stranger_key(made: Patient) -> None:
    (made.keys / "alipay-public-key.pem").write_bytes((made.keys / "wechat-public-key.pem").read_bytes())


async def other_sides_key(made: Patient) -> None:
    (made.keys / "alipay-app-key.pem").write_bytes((made.keys / "wechat-merchant-key.pem").read_bytes())


async def yuan_in_fen(made: Patient) -> None:
    await made.base.script("UPDATE orders SET amount = 9900")


async def another_number(made: Patient) -> None:
    await made.base.script("UPDATE orders SET transaction_id = '2026112300000000000000000000' WHERE status = 2")


async def utc_times(made: Patient) -> None:
    made.edit("[shop.orders]\n", 'time_zone = "UTC"\n[shop.orders]\n')


async def webhook_secret(made: Patient) -> None:
    path = made.keys / "webhook"
    path.write_text("short")
    path.chmod(0o600)
    made.text += f'\n[settle.webhook]\nurl = "https://shop.example/confirmed"\nsecret = "file:{path}"\n'


BY_NUMBER = "looking for other orders with a number"
FAULTS = (
    # the configuration
    Planted("no TOML", "configuration", FAULT, "is not TOML", "correct it in", edits=(("[shop]", "[shop"),)),
    Planted(
        "a key misspelt", "configuration", FAULT, "At shop.orders.amont: unknown key", "did you mean `amount`?",
        edits=(('amount = "amount"', 'amont = "amount"'),),
    ),
    Planted(
        "two faults at once", "configuration", FAULT, "At shop.orders.states.settled_as", "correct it in",
        edits=(("settled_as = 2", "settled_as = 9"), ('mode = "enforce"', 'mode = "enforced"')),
    ),
    Planted(
        "a file that anybody may write", "configuration", WARNING, "anybody may write to", "chmod o-w",
        plant=configuration_of_anybody,
    ),
    # the credentials
    Planted(
        "a private key for all to read", "configuration", FAULT, "At channels.alipay-main.private_key", "chmod 0600",
        plant=mode("alipay-app-key.pem", 0o644),
    ),
    Planted(
        "a key that is missing", "configuration", FAULT, "there is no ", "in a file of mode 0600",
        plant=removed("wechat-merchant-key.pem"),
    ),
    Planted(
        "a certificate over another key", "configuration", FAULT, "app_cert: is not over private_key",
        "the private key that it was applied for with", plant=certified(timedelta(days=300), others=True),
    ),
    Planted(
        "a certificate that ends soon", "credentials", WARNING, "channels.alipay-main.app_cert: the certificate ends",
        "renew it", plant=certified(timedelta(days=9)),
    ),
    Planted(
        "a certificate that has ended", "credentials", FAULT, "channels.alipay-main.app_cert: the certificate ended",
        "download the new certificate", plant=certified(timedelta(days=-1)),
    ),
    Planted(
        "a public key that anybody may write", "credentials", WARNING, "is open to others", "chmod 0600",
        plant=mode("alipay-public-key.pem", 0o666),
    ),
    Planted(
        "a webhook's secret that is too short", "credentials", FAULT, "At settle.webhook.secret", "one new secret",
        plant=webhook_secret,
    ),
    # the ledger
    Planted(
        "no place for the ledger", "ledger", FAULT, "to make the ledger in", "mkdir",
        edits=(("/ledger/ledger.db", "/no/such/ledger.db"),),
    ),
    Planted(
        "another program's database", "ledger", FAULT, "is another program's database", "name another file",
        plant=ledger("CREATE TABLE theirs (id INTEGER)"),
    ),
    Planted(
        "no database", "ledger", FAULT, "is no SQLite database", "name another file", plant=ledger(b"hello\n" * 100)
    ),
    Planted(
        "a newer schema", "ledger", FAULT, "written by a newer version", "restore the backup",
        plant=ledger("CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('9999');"),
    ),
    Planted("hardly any room", "ledger", FAULT, "10 MB are free", "make room", plant=little_room),
    Planted("little room", "ledger", WARNING, "500 MB are free", "ledger.keep", plant=less_room),
    # the shop's database
    Planted("no file", "shop", FAULT, "shoop.db does not exist", "look at shop.url", plant=no_file),
    Planted("no server", "shop", FAULT, "nothing answers at 127.0.0.1:1", "look at shop.url", plant=no_server,
            kinds=("mysql",)),
    Planted(
        "a user that is not let in", "shop", FAULT, "wrong user or password", "at the password",
        plant=another_user, kinds=("mysql",),
    ),
    Planted(
        "no such table", "columns", FAULT, "no table `order`", "did you mean `orders`?",
        edits=(('table = "orders"', 'table = "order"'),),
    ),
    Planted(
        "no such table, or none of ours", "shop", FAULT, "SELECT command denied", "GRANT SELECT, UPDATE (status",
        edits=(('table = "orders"', 'table = "order"'),), kinds=("mysql",),
    ),
    Planted(
        "a user that may not see the database", "shop", FAULT, "not into the database",
        "GRANT SELECT, UPDATE (status, transaction_id, paid_at) ON",
        plant=script("REVOKE ALL PRIVILEGES ON orders FROM USER"), kinds=("mysql",),
    ),
    Planted(
        "no such column", "columns", FAULT, "no column `amout`", "did you mean `amount`?",
        edits=(('amount = "amount"', 'amount = "amout"'),), kinds=ALL,
    ),
    Planted(
        "amounts in floating point", "columns", FAULT, "floating point keeps no exact amounts", "DECIMAL(12,2)",
        columns={"amount": "FLOAT"}, kinds=BOTH,
    ),
    Planted(
        "no room for a transaction number", "columns", FAULT, "transaction_id takes 20 characters", "VARCHAR(64)",
        columns={"transaction_id": "VARCHAR(20)"}, kinds=BOTH, without_orders=True,
    ),
    Planted(
        "a number that may be NULL", "columns", WARNING, "order_no may be NULL", "NOT NULL",
        columns={"order_no": "VARCHAR(32) UNIQUE"}, kinds=ALL,
    ),
    Planted(
        "a status that its column cannot hold", "columns", FAULT, "which takes -128 to 127, not 300", "widen",
        columns={"status": "TINYINT NOT NULL"}, kinds=("mysql",),
        edits=(("paid = [2, 3]", "paid = [2, 3, 300]"), ("settled_as = 2", "settled_as = 300")),
    ),
    Planted(
        "a key that is not unique", "columns", FAULT, "neither the primary key", "correct the mapping",
        edits=(('key = "id"', 'key = "note"'),),
    ),
    Planted(
        "an engine without transactions", "columns", WARNING, "knows no transactions", "ENGINE = InnoDB",
        plant=script("ALTER TABLE orders ENGINE = MyISAM"), kinds=("mysql",),
    ),
    # rights
    Planted(
        "a user that may not update", "rights", FAULT, "may not update orders.status", "GRANT SELECT, UPDATE (status",
        plant=script("REVOKE UPDATE (status, transaction_id, paid_at) ON orders FROM USER"), kinds=("mysql",),
    ),
    Planted(
        "a user that may drop", "rights", WARNING, "DROP on", "a user of its own",
        plant=script("GRANT DROP, ALTER ON orders TO USER"), kinds=("mysql",),
    ),
    Planted(
        "a user that may write elsewhere", "rights", WARNING, "INSERT on", "nothing more",
        plant=script("CREATE TABLE users (id INT)", "GRANT INSERT, DELETE ON users TO USER"), kinds=("mysql",),
    ),
    Planted("a file that anybody may write", "rights", WARNING, "writing for anybody", "chmod o-w",
            plant=writable_by_anybody),
    # indexes
    Planted(
        "no index on the number", "indexes", WARNING, BY_NUMBER, "CREATE INDEX idx_order_no ON orders (order_no)",
        columns={"order_no": "VARCHAR(32) NOT NULL"}, kinds=ALL,
    ),
    Planted(
        "a key that does not grow, and no index on time", "indexes", WARNING, "finding new orders",
        "CREATE INDEX idx_created_at_order_no ON orders (created_at, order_no)",
        edits=(('key = "id"', 'key = "order_no"'),), columns={"order_no": "VARCHAR(32) NOT NULL"},
        plant=script("CREATE UNIQUE INDEX by_number ON orders (order_no)"), kinds=ALL,
    ),
    # the orders
    Planted(
        "orders without a time, where they are walked by it", "time zone", WARNING, "2 of those that wait",
        "fill created_at in", columns={"order_no": "VARCHAR(32) NOT NULL", "created_at": "TIMESTAMP NULL"},
        edits=(('key = "id"', 'key = "order_no"'),),
        plant=script(
            "CREATE UNIQUE INDEX by_number ON orders (order_no)",
            "CREATE INDEX by_time ON orders (created_at, order_no)",
            "INSERT INTO orders (order_no, amount, status, pay_channel) VALUES ('T1', 9, 1, 'alipay')",
            "INSERT INTO orders (order_no, amount, status, pay_channel) VALUES ('T2', 9, 1, 'alipay')",
            "INSERT INTO orders (order_no, amount, status, pay_channel) VALUES ('T3', 9, 2, 'alipay')",
        ),
        kinds=ALL,
    ),
    Planted(
        "a state that is not mapped", "states", WARNING, "2 of the 6 orders of the last week have status 7",
        "shop.orders.states", plant=placed("S1", "S2", status=7), kinds=ALL,
    ),
    Planted(
        "another column than the status", "states", FAULT, "is pending or paid", "shop.orders.status",
        edits=(
            ("pending = [1]", "pending = [11]"), ("paid = [2, 3]", "paid = [12]"),
            ("settled_as = 2", "settled_as = 12"),
        ),
    ),
    Planted(
        "a number on two rows", "numbers", WARNING, "A-waits-1 stands on 2 rows", "shared_payment",
        columns={"order_no": "VARCHAR(32) NOT NULL"}, plant=placed("A-waits-1"), kinds=BOTH,
    ),
    Planted(
        "a number that cannot be asked about", "orders", WARNING, "1 of the 5 orders of the last week cannot be read",
        "shop.orders.where", plant=placed("no number"), kinds=BOTH,
    ),
    Planted(
        "a channel value that nobody claims", "channel values", WARNING, "have pay_channel paypal", "ignore_channels",
        plant=placed("P1", pay_channel="paypal"), kinds=BOTH,
    ),
    Planted(
        "orders of the future", "time zone", FAULT, "orders are from the future by created_at, by up to 7 h",
        "is shop.time_zone (UTC) the zone", plant=utc_times, kinds=BOTH,
    ),
    Planted(
        "a server in another zone than the shop", "time zone", WARNING, "is a TIMESTAMP, and the server's zone is",
        "just made", columns={"created_at": "TIMESTAMP NOT NULL"}, kinds=("mysql",),
        edits=(("[shop.orders]\n", 'time_zone = "Pacific/Chatham"\n[shop.orders]\n'),),
    ),
    Planted(
        "no orders at all", "orders", WARNING, "there is none", "shop.orders.where", without_orders=True, kinds=BOTH,
    ),
    # the channels
    Planted(
        "a gateway that is not there", "channel alipay-main", FAULT, "the gateway cannot be asked",
        "look at the endpoint", plant=down,
    ),
    Planted(
        "another's public key", "channel alipay-main", FAULT, "signature does not verify", "own public key",
        plant=stranger_key,
    ),
    Planted(
        "a private key that the gateway does not know", "channel alipay-main", FAULT, "refuses every query",
        "correct the channel's ids", plant=other_sides_key,
    ),
    Planted(
        "a wrong token or merchant", "channel wechat-main", FAULT,
        "the shop calls W-paid-1 paid, and the gateway answers", "merchant's console", plant=nobody_paid, kinds=BOTH,
    ),
    Planted(
        "no order to try a channel with", "channel alipay-main", WARNING, "no recently paid order", "first paid order",
        without_orders=True,
    ),
    Planted(
        "fen taken for yuan", "channel alipay-main", FAULT, "amount of A-paid-1: CNY 99.00 at the gateway, CNY 9900.00",
        'amount_unit = "fen"', plant=yuan_in_fen, kinds=BOTH,
    ),
    Planted(
        "another column than the transaction's", "channel wechat-main", FAULT, "transaction_id of W-paid-1",
        "is shop.orders.transaction_id the gateway's number", plant=another_number,
    ),
)  # fmt: skip
CASES = [(planted, kind) for planted in FAULTS for kind in planted.kinds]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Keys]:
    directory = tmp_path_factory.mktemp("keys")
    return directory, keep_keys(directory)


def test_there_are_many() -> None:
    assert len({planted.name for planted in FAULTS}) >= 40


@pytest.mark.parametrize(("planted", "kind"), CASES, ids=[f"{planted.name}-{kind}" for planted, kind in CASES])
async def test_each_is_found_with_its_remedy(
    planted: Planted, kind: str, tmp_path: Path, kept: tuple[Path, Keys]
) -> None:
    async with patient(kind, tmp_path, *kept, planted.columns) as made:
        if not planted.without_orders:
            await orders(made)
        for old, new in planted.edits:
            made.edit(old, new)
        if planted.plant is not None:
            await planted.plant(made)
        found = troubles(await made.visited())
        told = "\n".join(map(str, found))
        assert all(remark.remedy for remark in found), told
        matching = [remark for remark in found if remark.subject == planted.subject and planted.text in remark.text]
        assert matching, told
        assert matching[0].verdict is planted.verdict, told
        assert planted.remedy in matching[0].remedy, told


@pytest.mark.parametrize("kind", ALL)
async def test_of_a_healthy_set_up_all_is_well_and_its_table_is_as_it_was(
    kind: str, tmp_path: Path, kept: tuple[Path, Keys]
) -> None:
    async with patient(kind, tmp_path, *kept, {}) as made:
        await orders(made)
        before = await made.base.rows("SELECT * FROM orders ORDER BY id")
        remarks = await made.visited()
        assert troubles(remarks) == []
        assert len(remarks) >= 15
        assert await made.base.rows("SELECT * FROM orders ORDER BY id") == before
        assert not (made.directory / "ledger").exists()


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
async def test_a_user_that_may_only_read_serves_for_observing(
    kind: str, tmp_path: Path, kept: tuple[Path, Keys]
) -> None:
    async with patient(kind, tmp_path, *kept, {}) as made:
        await orders(made)
        whom = f"{made.user}@`%%`" if kind == "mysql" else made.user
        await made.base.script(f"REVOKE UPDATE (status, transaction_id, paid_at) ON orders FROM {whom}")
        made.edit('mode = "enforce"', 'mode = "observe"')
        remarks = await made.visited()
        assert troubles(remarks) == []
        (rights,) = [remark for remark in remarks if remark.subject == "rights"]
        assert "observing needs no more" in rights.text


async def test_attempts_of_a_channel_that_nobody_configured_are_named_before_a_daemon_runs(
    tmp_path: Path, kept: tuple[Path, Keys]
) -> None:
    async with patient("sqlite", tmp_path, *kept, {}) as made:
        await orders(made)
        await made.base.script(
            "CREATE TABLE tries (id INTEGER PRIMARY KEY, order_id INT NOT NULL, no VARCHAR(32) NOT NULL UNIQUE,"
            " way VARCHAR(16))",
            "CREATE INDEX idx_tries_order ON tries (order_id)",
            "INSERT INTO tries (order_id, no, way) SELECT id, order_no, pay_channel FROM orders",
        )
        attempts = (
            '[shop.attempts]\ntable = "tries"\nkey = "id"\norder = "order_id"\nout_trade_no = "no"\nchannel = "way"'
        )
        made.edit("[channels.alipay-main]", f"{attempts}\n[channels.alipay-main]")
        made.edit('out_trade_no = "order_no"\n', "")
        made.edit('channel = "pay_channel"\n', "")
        remarks = await made.visited()
        assert troubles(remarks) == []
        assert "each way of " in next(remark.text for remark in remarks if remark.subject == "channel values")
        known = dict(made.book._trades)
        made.book._trades.clear()
        wrong = [each for each in troubles(await made.visited()) if each.subject.endswith("-main")]
        assert all("shop.attempts.out_trade_no is not the number" in each.remedy for each in wrong), wrong
        assert len(wrong) == 2
        made.book._trades.update(known)
        await made.base.script(
            "INSERT INTO tries (order_id, no, way) SELECT id, 'U-' || order_no, 'unionpay' FROM orders"
        )
        (strange,) = troubles(await made.visited())
        assert "have an attempt with way unionpay, which no channel claims" in strange.text


async def test_the_attempt_that_an_order_was_not_paid_by_is_no_fault(tmp_path: Path, kept: tuple[Path, Keys]) -> None:
    async with patient("sqlite", tmp_path, *kept, {}) as made:
        for number in range(5):  # tried at WeChat Pay first, then paid at Alipay
            await made.paid(f"A{number}")
        await made.base.script(
            "CREATE TABLE tries (id INTEGER PRIMARY KEY, order_id INT NOT NULL, no VARCHAR(32) NOT NULL UNIQUE,"
            " way VARCHAR(16))",
            "CREATE INDEX idx_tries_order ON tries (order_id)",
            "INSERT INTO tries (order_id, no, way) SELECT id, 'W-' || order_no, 'wechat' FROM orders",
            "INSERT INTO tries (order_id, no, way) SELECT id, order_no, 'alipay' FROM orders",
        )
        attempts = (
            '[shop.attempts]\ntable = "tries"\nkey = "id"\norder = "order_id"\nout_trade_no = "no"\nchannel = "way"'
        )
        made.edit("[channels.alipay-main]", f"{attempts}\n[channels.alipay-main]")
        made.edit('out_trade_no = "order_no"\n', "")
        made.edit('channel = "pay_channel"\n', "")
        (remark,) = troubles(await made.visited())
        assert (remark.subject, remark.verdict) == ("channel wechat-main", Verdict.WARNING)
        assert "their orders have other attempts that may be the paid ones" in remark.text

        paid_at_once = await made.paid("PAID-AT-ONCE", "wechat")
        await made.base.script(
            "INSERT INTO tries (order_id, no, way)"
            " SELECT id, order_no, 'wechat' FROM orders WHERE order_no = 'PAID-AT-ONCE'",
            "INSERT INTO orders (order_no, status, pay_channel, amount, created_at, transaction_id, paid_at)"
            " SELECT 'B-' || order_no, status, pay_channel, amount, created_at, transaction_id, paid_at FROM orders"
            " WHERE order_no LIKE 'A%'",
            "INSERT INTO tries (order_id, no, way)"
            " SELECT id, order_no || way, way FROM orders, (SELECT 'wechat' AS way UNION SELECT 'alipay')"
            " WHERE order_no LIKE 'B-%'",
        )
        proofs = [remark.text for remark in await made.visited() if remark.subject == "channel wechat-main"]
        assert any(f"knows {paid_at_once.out_trade_no}, which the shop calls paid" in text for text in proofs), proofs


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
async def test_the_grants_that_it_names_are_run_as_they_stand_and_mend_it(
    kind: str, tmp_path: Path, kept: tuple[Path, Keys]
) -> None:
    key = "BIGINT AUTO_INCREMENT" if kind == "mysql" else "BIGSERIAL"
    quote = '"' if kind == "postgresql" else "`"
    async with patient(kind, tmp_path, *kept, {}) as made:
        await orders(made)
        whom = f"{made.user}@`%%`" if kind == "mysql" else made.user
        await made.base.script(
            f"CREATE TABLE {quote}Pay-Tries{quote} (id {key} PRIMARY KEY, order_id BIGINT NOT NULL,"
            " pay_no VARCHAR(32) NOT NULL UNIQUE)",
            f"CREATE INDEX idx_of_order ON {quote}Pay-Tries{quote} (order_id)",
            f"INSERT INTO {quote}Pay-Tries{quote} (order_id, pay_no) SELECT id, order_no FROM orders",  # noqa: S608 # a test's own words
            "CREATE TABLE elsewhere (id INT)",
            f"GRANT SELECT ON elsewhere TO {whom}",
            f"REVOKE ALL PRIVILEGES ON orders FROM {whom}",
        )
        attempts = '[shop.attempts]\ntable = "Pay-Tries"\nkey = "id"\norder = "order_id"\nout_trade_no = "pay_no"'
        made.edit("[channels.alipay-main]", f"{attempts}\n[channels.alipay-main]")
        made.edit('out_trade_no = "order_no"\n', "")
        remedies = " ".join(remark.remedy for remark in troubles(await made.visited()))
        grants = dict.fromkeys(re.findall(r"GRANT [^;]+;", remedies))
        assert len(grants) == 2, remedies
        await made.base.script(*(grant.rstrip(";").replace("%", "%%") for grant in grants))
        assert troubles(await made.visited()) == []


def test_the_healthy_columns_are_those_that_are_mapped() -> None:
    assert {"order_no", "amount", "status"} <= columns_of("mysql").keys()
