"""The shop's database: reachable, with which rights, and whether its tables are what the mapping says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta, timezone, tzinfo
from urllib.parse import unquote, urlsplit

from reconciler.doctor import clock as clock_
from reconciler.doctor.remark import Remark, apart, fault, warning, well
from reconciler.ports import Clock, ShopUnavailable
from reconciler.settings.model import Settings
from reconciler.shops.sql.bound import BoundShop, Template
from reconciler.shops.sql.columns import Column
from reconciler.shops.sql.grants import GRANTS
from reconciler.shops.sql.inspection import Holding, Inspection, Rights, ServerZone, Unserved, Use
from reconciler.shops.sql.mapping import MappingError, ShopMapping
from reconciler.shops.sql.schema import Reflected

SUBJECT = "shop"
RIGHTS = "rights"
COLUMNS = "columns"
INDEXES = "indexes"


async def look(
    inspection: Inspection, mapping: ShopMapping, settings: Settings, clock: Clock
) -> tuple[BoundShop | None, list[Remark]]:
    """Look at everything but the orders themselves. Raises ShopUnavailable."""
    off = await inspection.clock_off(clock)
    remarks = [clock_.look("the shop's database", off, settings.ask.clock_tolerance)] if off is not None else []
    try:
        shop = await inspection.bind(mapping)
    except MappingError as error:
        return None, [*remarks, *_misfits(error)]
    except ShopUnavailable as error:
        if "do that" not in str(error):
            raise
        kept_out = _kept_out(error, await inspection.rights(_named(mapping, settings)), mapping, settings)
        if kept_out is None:
            raise
        return None, [*remarks, kept_out]
    remarks.append(well(SUBJECT, f"table {shop.orders.target.name} answers, and has every mapped column"))
    tables = _tables(shop, await inspection.reflected(mapping.orders.table), settings)
    rights = await inspection.rights(tables)
    remarks += _rights(rights, tables, mapping, settings)
    if rights.unreadable and rights.is_certain:
        return None, remarks
    holdings = await inspection.holdings(tables[0].name, _schema(shop))
    remarks += _columns(shop, holdings) or [well(COLUMNS, "of types that hold what is written to them")]
    if shop.orders.is_shared_payment or shop.attempts is None:
        remarks += _transactional(await inspection.reflected(mapping.orders.table))
    remarks += _zone(shop, mapping, await inspection.zone(), holdings)
    since = clock.now() - settings.find.window
    remarks += _indexes(await inspection.unserved(shop, since))
    return shop, remarks


def _misfits(error: MappingError) -> Iterator[Remark]:
    for problem in error.problems:
        text, remedy = apart(problem, "correct the mapping; the table is never altered by Reconciler")
        yield fault(COLUMNS, f"At {text}", remedy)


def _schema(shop: BoundShop) -> str | None:
    return shop.orders.target.schema


def _tables(shop: BoundShop, target: Reflected | str, settings: Settings) -> list[Use]:
    """Say which tables are used: the order table first, and what settling sets in it."""
    orders = shop.orders
    columns = [orders.status, orders.write_transaction_id, orders.write_paid_at, *orders.touch]
    columns += [column for column, _ in orders.set]
    is_written = settings.settle.by == "update"
    written = tuple(column.name for column in columns if column is not None) if is_written else ()
    home = target.home if isinstance(target, Reflected) else None
    uses = [Use(str(orders.target.name), home, written)]
    others = (orders.source, shop.attempts.source if shop.attempts is not None else None)
    for table in others:
        if table is not None and str(table.name) != uses[0].name:
            uses.append(Use(str(table.name), table.schema or home))
    return uses


def not_let_in(mapping: ShopMapping, settings: Settings) -> str:
    """Say what mends it that MySQL lets our user not even into the database: who it is there, nobody can ask."""
    who = f"{unquote(urlsplit(mapping.url).username or '')}@…"
    grants = GRANTS["mysql"].to(who, _named(mapping, settings))
    return f"let an administrator run, with the host that mysql.user has for this user: {grants}"


def _named(mapping: ShopMapping, settings: Settings) -> list[Use]:
    """Say the same by the mapping alone, where the tables themselves cannot be looked at."""
    orders, attempts = mapping.orders, mapping.attempts
    home = unquote(urlsplit(mapping.url).path.strip("/")) if _kind(mapping) == "mysql" else None
    columns = [orders.status, orders.transaction_id, orders.paid_at, *orders.touch, *orders.set]
    written = tuple(column for column in columns if column is not None) if settings.settle.by == "update" else ()
    others = [orders.read_from, attempts.table if attempts is not None else None]
    return [Use(orders.table, home, written), *(Use(each, home) for each in others if each is not None)]


def _kept_out(error: ShopUnavailable, rights: Rights, mapping: ShopMapping, settings: Settings) -> Remark | None:
    """Name the tables that our user may not look at; MySQL says the same of a table that is not there."""
    uses = [use for use in _named(mapping, settings) if use.name in rights.unreadable]
    if not uses or _kind(mapping) not in GRANTS:
        return None
    remedy = f"correct the table's name, or let an administrator run: {GRANTS[_kind(mapping)].to(rights.who, uses)}"
    return fault(SUBJECT, str(error), remedy)


def _kind(mapping: ShopMapping) -> str:
    return mapping.url.partition(":")[0]


def _rights(rights: Rights, tables: Sequence[Use], mapping: ShopMapping, settings: Settings) -> list[Remark]:
    grants = GRANTS.get(_kind(mapping))
    if grants is None:
        return _modes(rights, mapping.url.removeprefix("sqlite:///"), settings)
    target = tables[0]
    unsure = "" if rights.is_certain else " (unless a role lets it)"
    remarks = [
        fault(RIGHTS, f"{rights.who} may not read {use.name}{unsure}", grants.to(rights.who, [use]))
        for use in tables
        if use.name in rights.unreadable
    ]
    if rights.unwritable:
        said = f"{rights.who} may not update {', '.join(rights.unwritable)}{unsure}"
        remedy = grants.to(rights.who, [target])
        if settings.mode == "enforce" and rights.is_certain:
            remarks.append(fault(RIGHTS, f"{said}: nothing can be settled", remedy))
        elif settings.mode == "enforce":
            remarks.append(warning(RIGHTS, said, remedy))
        else:
            remarks.append(well(RIGHTS, f"{said}; observing needs no more, mode enforce does: {remedy}"))
    if rights.excess:
        said = f"{rights.who} may do what Reconciler never does: {', '.join(rights.excess)}"
        remedy = f"give Reconciler a user of its own, and nothing more: {grants.own_user(rights.who, tables)}"
        remarks.append(warning(RIGHTS, said, remedy))
    return remarks or [well(RIGHTS, f"{rights.who} may do what is needed, and no more")]


def _modes(rights: Rights, path: str, settings: Settings) -> list[Remark]:
    """Judge a file: whoever may write it and its directory may settle."""
    remarks = []
    if rights.unwritable:
        said = f"{rights.who} may not write {path} and its directory"
        page = "docs/how-to/install-as-a-service.md, section 4"
        remedy = f"let the daemon's group write both (chmod 0660 and 2770): {page}"
        if settings.mode == "enforce":
            remarks.append(fault(RIGHTS, f"{said}: nothing can be settled", remedy))
        else:
            remarks.append(well(RIGHTS, f"{said}; observing needs no more, mode enforce does: {remedy}"))
    if rights.excess:
        remarks.append(warning(RIGHTS, f"there is {', '.join(rights.excess)}", f"chmod o-w {path}"))
    return remarks or [well(RIGHTS, f"{rights.who} may do what is needed, and no more")]


def _columns(shop: BoundShop, holdings: Mapping[str, Holding]) -> list[Remark]:
    orders = shop.orders
    remarks = [
        fault(COLUMNS, said, "name a value that the column takes, or ask whoever owns the shop's tables to widen it")
        for said in _unfit(shop, holdings)
    ]
    number = orders.out_trade_no
    if number is not None and orders.is_number_due and (held := holdings.get(number.name)) and held.is_nullable:
        said = f"{number.name} may be NULL: an order without a number can never be asked about"
        remarks.append(warning(COLUMNS, said, f"ALTER TABLE {orders.target.name} so that {number.name} is NOT NULL"))
    return remarks


def _unfit(shop: BoundShop, holdings: Mapping[str, Holding]) -> Iterator[str]:
    """Name each value to be written that its column has no room for; the binding found those of other types."""
    orders = shop.orders
    written: list[tuple[str, Column, object]] = [
        ("shop.orders.states.settled_as", orders.status, orders.settled_as),
        ("shop.orders.states.closed_as", orders.status, orders.closed_as),
    ]
    written += [(f"shop.orders.set.{column.name}", column, value) for column, value in orders.set]
    for setting, column, value in written:
        held = holdings.get(column.name)
        if held is None or held.integers is None or isinstance(value, bool | Template) or not isinstance(value, int):
            continue
        if not held.integers[0] <= value <= held.integers[1]:
            bounds = f"{held.integers[0]} to {held.integers[1]}"
            yield f"At {setting}: {column.name} is {held.declared}, which takes {bounds}, not {value}"


def _transactional(target: Reflected | str) -> list[Remark]:
    if isinstance(target, str) or target.is_transactional:
        return []
    said = f"the engine of {target.name} knows no transactions: a settlement that breaks off stays half done"
    return [warning(COLUMNS, said, f"ALTER TABLE {target.name} ENGINE = InnoDB")]


def _zone(
    shop: BoundShop, mapping: ShopMapping, server: ServerZone | None, holdings: Mapping[str, Holding]
) -> Iterator[Remark]:
    """Find the trap of MySQL's TIMESTAMP: what the shop's code writes, the server reads in the session's zone."""
    held = holdings.get(shop.orders.created_at.name)
    if server is None or held is None or not held.is_zoned:
        return
    key = "shop.time_zone" if mapping.session_time_zone is None else "shop.session_time_zone"
    ours = mapping.clock.now().astimezone(mapping.session_time_zone or shop.zone).utcoffset() or timedelta(0)
    if server.offset != ours:
        said = (
            f"{shop.orders.created_at.name} is a TIMESTAMP, and the server's zone is {server.name} "
            f"({_offset(server.offset)}), not {key} ({_offset(ours)}): unless the shop's own connections set "
            f"theirs, every order seems {_hours(ours - server.offset)} off"
        )
        remedy = f"compare created_at of an order just made with the clock; if it is off, {_remedy(server)}"
        yield warning("time zone", said, remedy)


def _remedy(server: ServerZone) -> str:
    """Name the setting that mends it, with the zone's name where an offset has one."""
    hours, rest = divmod(server.offset, timedelta(hours=1))
    if rest:
        return "set shop.session_time_zone to the zone of the shop's own connections"
    name = "UTC" if hours == 0 else f"Etc/GMT{-hours:+d}"
    return f'set shop.session_time_zone = "{name}"'


def _offset(offset: timedelta) -> str:
    zone: tzinfo = timezone(offset)
    return str(zone)


def _hours(span: timedelta) -> str:
    return f"{abs(span) / timedelta(hours=1):g} h"


def _indexes(missing: tuple[Unserved, ...]) -> list[Remark]:
    remarks = []
    for each in missing:
        rows = f"{each.rows:,}"
        said = f"no index begins with {each.table} ({', '.join(each.columns)}): {each.purpose}, reads all {rows} rows"
        found = fault if each.is_felt else warning
        remarks.append(found(INDEXES, said, each.remedy))
    return remarks or [well(INDEXES, "every statement is served by one")]
