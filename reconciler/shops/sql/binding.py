"""Bind the mapping to the reflected tables, and say everything that does not fit, at once."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from reconciler.domain.order import ChannelName, OrderState
from reconciler.shops.sql.bound import BoundAttempts, BoundOrders, BoundShop, Template
from reconciler.shops.sql.columns import Column
from reconciler.shops.sql.fitting import Fitting
from reconciler.shops.sql.mapping import AttemptsMapping, MappingError, OrdersMapping, ShopMapping
from reconciler.shops.sql.schema import Reflected

_TEMPLATES = {"{out_trade_no}": "out_trade_no", "{transaction_id}": "transaction_id"}


def bind(connection: Connection, mapping: ShopMapping) -> BoundShop:
    """Reflect and bind. Raises MappingError with every problem."""
    fitting = Fitting(connection)
    binder = _Binder(fitting)
    orders = binder.orders(mapping.orders, has_attempts=mapping.attempts is not None)
    attempts = binder.attempts(mapping.attempts) if mapping.attempts is not None else None
    channel_column = (attempts.channel if attempts else None) or (orders.channel if orders else None)
    if orders is not None:
        binder.channels_apart(mapping)
    channel_of = binder.channels(mapping, channel_column)
    if fitting.problems or orders is None:
        raise MappingError(tuple(dict.fromkeys(fitting.problems)))
    return BoundShop(
        orders=orders,
        attempts=attempts,
        zone=mapping.time_zone,
        channels=tuple(mapping.channels),
        channel_of=channel_of,
        asks_all_channels=mapping.ask_all_channels,
        ignored=frozenset(mapping.ignore_channels),
    )


@dataclass(slots=True)
class _Binder:
    fitting: Fitting

    def orders(self, mapping: OrdersMapping, *, has_attempts: bool) -> BoundOrders | None:
        target = self.fitting.table("shop.orders.table", mapping.table)
        source = self.fitting.table("shop.orders.read_from", mapping.read_from) if mapping.read_from else target
        if target is None or source is None:
            return None
        at = "shop.orders"
        read = {
            role: self.fitting.column(f"{at}.{role}", source, getattr(mapping, role))
            for role in ("key", "order_no", "amount", "status", "created_at")
        }
        maybe = {
            role: self.fitting.optional(f"{at}.{role}", source, getattr(mapping, role))
            for role in ("out_trade_no", "channel", "transaction_id", "paid_at")
        }
        write = {
            role: self.fitting.optional(f"{at}.{role}", target, getattr(mapping, role))
            if source is not target
            else None
            for role in ("key", "amount", "status", "transaction_id", "paid_at")
        }
        touch = [self.fitting.column(f"{at}.touch", target, name) for name in mapping.touch]
        constants = self._constants(target, mapping)
        self.fitting.unique(f"{at}.key", target, mapping.key)
        self.fitting.amount(f"{at}.amount", read["amount"])
        self.fitting.moments(at, {"created_at": read["created_at"], "paid_at": maybe["paid_at"]}, touch)
        self.fitting.names(at, {"order_no": read["order_no"], "out_trade_no": maybe["out_trade_no"]})
        for role, column in write.items():
            self.fitting.alike(f"{at}.{role}", read.get(role) or maybe.get(role), column)
        self.fitting.transaction_id(write["transaction_id"] or maybe["transaction_id"])
        if maybe["out_trade_no"] is None and mapping.out_trade_no is None and not has_attempts:
            self.fitting.problems.append(f"{at}.out_trade_no: needed, unless [shop.attempts] has it")
        if mapping.shared_payment and not target.is_transactional:
            self.fitting.problems.append(
                f"{at}.table: {mapping.table} cannot roll back, which shared_payment needs; use InnoDB"
            )
        where = self.fitting.where(f"{at}.where", mapping.where, source, target)
        key, order_no, amount, status, created_at = read.values()
        if key is None or order_no is None or amount is None or status is None or created_at is None:
            return None
        states, candidates, settled_as, closed_as = self._states(mapping, status)
        return BoundOrders(
            source=source.sql,
            target=target.sql,
            table=(target.home, target.name),
            key=key,
            order_no=order_no,
            amount=amount,
            status=status,
            created_at=created_at,
            where=where,
            is_fen=mapping.amount_unit == "fen",
            currency=mapping.currency,
            is_shared_payment=mapping.shared_payment,
            is_number_due=not has_attempts,
            states=states,
            candidate_values=candidates,
            guarded=target.columns,
            settled_as=settled_as,
            closed_as=closed_as,
            write_transaction_id=write["transaction_id"] or maybe["transaction_id"],
            write_paid_at=write["paid_at"] or maybe["paid_at"],
            touch=tuple(column for column in touch if column is not None),
            set=constants,
            is_time_indexed=mapping.created_at in source.indexed,
            **maybe,
        )

    def attempts(self, mapping: AttemptsMapping) -> BoundAttempts | None:
        at = "shop.attempts"
        source = self.fitting.table(f"{at}.table", mapping.table)
        if source is None:
            return None
        key, order, number = (
            self.fitting.column(f"{at}.{role}", source, getattr(mapping, role))
            for role in ("key", "order", "out_trade_no")
        )
        created_at = self.fitting.optional(f"{at}.created_at", source, mapping.created_at)
        channel = self.fitting.optional(f"{at}.channel", source, mapping.channel)
        amount = self.fitting.optional(f"{at}.amount", source, mapping.amount)
        self.fitting.unique(f"{at}.key", source, mapping.key)
        self.fitting.names(at, {"order": order, "out_trade_no": number})
        self.fitting.amount(f"{at}.amount", amount)
        self.fitting.moments(at, {"created_at": created_at}, [])
        where = self.fitting.where(f"{at}.where", mapping.where, source)
        if key is None or order is None or number is None:
            return None
        is_time_indexed = mapping.created_at in source.indexed
        return BoundAttempts(source.sql, key, order, number, created_at, channel, amount, where, is_time_indexed)

    def channels_apart(self, mapping: ShopMapping) -> None:
        is_mapped = mapping.orders.channel or (mapping.attempts is not None and mapping.attempts.channel)
        if len(mapping.channels) > 1 and not is_mapped and not mapping.ask_all_channels:
            self.fitting.problems.append(
                f"shop.orders.channel: needed to tell {len(mapping.channels)} channels apart; "
                'or set ask.channels = "all"'
            )

    def channels(self, mapping: ShopMapping, column: Column | None) -> dict[str, ChannelName]:
        """Say whose each value of the channel column is. Without the column every channel may own every row."""
        known: dict[str, ChannelName] = {}
        if column is None:
            return known
        for channel, values in mapping.channels.items():
            if not values and not mapping.ask_all_channels:
                self.fitting.problems.append(
                    f"channels.{channel}.shop_values: empty, so that no order can be this channel's"
                )
            for value in values:
                shows = _as_shown(column, value)
                if known.setdefault(shows, channel) != channel:
                    self.fitting.problems.append(f"channels.{channel}.shop_values: {value} is {known[shows]}'s already")
        return known

    def _states(
        self, mapping: OrdersMapping, status: Column
    ) -> tuple[dict[str, OrderState], tuple[object, ...], object, object | None]:
        states: dict[str, OrderState] = {}
        candidates: list[object] = []
        settings = mapping.states
        for state in (OrderState.PENDING, OrderState.PAID, OrderState.CLOSED, OrderState.REFUNDED):
            at = f"shop.orders.states.{state.value}"
            for value in getattr(settings, state.value):
                shows = self.fitting.shows(at, status, value)
                if states.setdefault(shows, state) is not state:
                    self.fitting.problems.append(f"{at}: {value} is {states[shows].value} already")
                if state in {OrderState.PENDING, OrderState.CLOSED}:
                    candidates += self.fitting.forms(at, status, value)
        if not settings.pending:
            self.fitting.problems.append("shop.orders.states.pending: empty, so that no order can be found")
        written: list[object] = []
        for name, value, state in (
            ("settled_as", settings.settled_as, OrderState.PAID),
            ("closed_as", settings.closed_as, OrderState.CLOSED),
        ):
            at = f"shop.orders.states.{name}"
            forms = self.fitting.forms(at, status, value) if value is not None else (None,)
            if value is not None and forms and states.get(status.text(forms[0]) or "") is not state:
                self.fitting.problems.append(f"{at}: {value} is not one of {state.value}")
            written.append(forms[0] if forms else None)
        return states, tuple(dict.fromkeys(candidates)), written[0], written[1]

    def _constants(self, target: Reflected, mapping: OrdersMapping) -> tuple[tuple[Column, object | Template], ...]:
        constants: list[tuple[Column, object | Template]] = []
        own = {mapping.key, mapping.amount, mapping.status, mapping.out_trade_no, *mapping.touch}
        own |= {mapping.transaction_id, mapping.paid_at}
        for name, value in mapping.set.items():
            at = f"shop.orders.set.{name}"
            column = self.fitting.column(at, target, name)
            if name in own:
                self.fitting.problems.append(f"{at}: {name} is written or guarded by its own setting")
            elif column is not None and isinstance(value, str) and value in _TEMPLATES:
                constants.append((column, Template(_TEMPLATES[value])))
            elif column is not None and (forms := self.fitting.forms(at, column, value)):
                constants.append((column, forms[0]))
        return tuple(constants)


def _as_shown(column: Column, value: str) -> str:
    """Give a shop value as the column would show it. One that it can never hold is no fault: it never matches."""
    try:
        return column.text(column.forms(value)[0]) or ""
    except ValueError:
        return value
