from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.domain.answer import (
    Answer,
    Closed,
    Misconfigured,
    NotCreated,
    Paid,
    Refunded,
    Rejected,
    Reply,
    Throttled,
    Trade,
    Unavailable,
    Unpaid,
    Unrecognised,
    Untrusted,
)
from reconciler.domain.decide import Subject, decide, paced, when_next
from reconciler.domain.decision import AskAgain, Decision, OpenCase, Pace
from reconciler.domain.history import History
from reconciler.domain.money import Money
from reconciler.domain.order import Attempt, ChannelName, Order, OrderKey, OrderState, Row, UnreadableOrder
from reconciler.domain.policy import Policy

CREATED = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
CHANNEL = ChannelName("wechat-main")
MERCHANT = (("appid", "wx0000000000000001"), ("mchid", "1900000001"))
ORDER = Order(OrderKey("1"), "A1", OrderState.PENDING, "0", Money(9900), CREATED)
ATTEMPT = Attempt(OrderKey("1"), "A1", CHANNEL, "A1-1", CREATED)
TRADE = Trade("A1-1", "T1", Money(9900), CREATED + timedelta(minutes=30), MERCHANT)
PACES = {Pace.AGES: "again", Pace.LATER_AGES: "later", Pace.SOON: "soon", Pace.PROBE: "probe"}


@dataclass(frozen=True, slots=True)
class Scene:
    """One ordinary stuck order, forty minutes old, paid in full ten minutes ago. A test says what is different."""

    order: Order = ORDER
    attempt: Attempt = ATTEMPT
    trade: Trade = TRADE
    history: History = field(default_factory=History)
    policy: Policy = field(default_factory=lambda: Policy(merchants={CHANNEL: MERCHANT}))
    now: datetime = CREATED + timedelta(minutes=40)
    age_of_reply: timedelta = timedelta(0)
    holders: tuple[Row, ...] | None = None
    """None: the order alone."""
    row: Row | None = None
    gone: bool = False

    def with_order(self, **changes: object) -> Scene:
        return replace(self, order=replace(self.order, **changes))  # type: ignore[arg-type] # a test's own field names

    def with_attempt(self, **changes: object) -> Scene:
        return replace(self, attempt=replace(self.attempt, **changes))  # type: ignore[arg-type] # the same

    def with_trade(self, **changes: object) -> Scene:
        return replace(self, trade=replace(self.trade, **changes))  # type: ignore[arg-type] # the same

    def with_history(self, **changes: object) -> Scene:
        return replace(self, history=replace(self.history, **changes))  # type: ignore[arg-type] # the same

    def with_policy(self, **changes: object) -> Scene:
        return replace(self, policy=replace(self.policy, **changes))  # type: ignore[arg-type] # the same

    def with_holders(self, *holders: Row) -> Scene:
        return replace(self, holders=holders)

    def with_row(self, row: Row) -> Scene:
        return replace(self, row=row)

    def unreadable(self, state: OrderState = OrderState.PENDING) -> UnreadableOrder:
        return UnreadableOrder(self.order.key, self.order.order_no, state, "0", "total: NULL where an amount is due")

    def vanished(self) -> Scene:
        return replace(self, gone=True)

    def at_age(self, age: timedelta) -> Scene:
        """Move now, and the payment with it."""
        now = CREATED + age
        return replace(self, now=now).with_trade(paid_at=now - timedelta(minutes=10))

    @property
    def subject(self) -> Subject:
        row = None if self.gone else self.row or self.order
        holders = self.holders if self.holders is not None else () if row is None else (row,)
        return Subject(self.attempt, row, holders)

    def reply(self, answer: Answer, *, verified: bool = True) -> Reply:
        answered_at = self.now - self.age_of_reply
        return Reply(answer, verified, answered_at - timedelta(milliseconds=80), answered_at)

    def decide(self, answer: Answer | None = None, *, verified: bool = True) -> Decision:
        answer = answer or Paid(self.trade)
        return decide(self.subject, self.reply(answer, verified=verified), self.history, self.policy, self.now)

    def word(self, answer: Answer | None = None, *, verified: bool = True) -> str:
        """Decide, and give the decision as the tables of these tests write it."""
        decision = self.decide(answer, verified=verified)
        match decision:
            case AskAgain(pace=pace):
                return PACES[pace]
            case OpenCase(kind=kind, pace=Pace.SOON):
                return f"{kind.value}/soon"
            case OpenCase(kind=kind):
                return kind.value
            case _:
                return type(decision).__name__

    def ends(self, answer: Answer, *, verified: bool = True) -> bool:
        """Whether the watch ends on this answer."""
        decision = paced(self.decide(answer, verified=verified), self.attempt, self.history)
        return when_next(decision, self.subject, self.policy, self.now, failures=1) is None

    def answer_named(self, name: str) -> Answer:
        """Give the answer that a table's row names."""
        unpaid = Trade(self.attempt.out_trade_no)
        answers: dict[str, Answer] = {
            "Paid": Paid(self.trade),
            "Refunded in full": Refunded(self.trade, in_full=True),
            "Refunded in part": Refunded(self.trade, in_full=False),
            "Refunded, unknown": Refunded(self.trade, in_full=None),
            "Unpaid": Unpaid(unpaid),
            "NotCreated": NotCreated(),
            "Closed": Closed(unpaid),
            "Unavailable": Unavailable("connection reset"),
            "Throttled": Throttled(timedelta(seconds=3)),
            "Untrusted": Untrusted("signature missing"),
            "Misconfigured": Misconfigured("isv.invalid-signature"),
            "Rejected": Rejected("PARAM_ERROR"),
            "Unrecognised": Unrecognised("ACCEPT"),
        }
        return answers[name]

    def in_state(self, name: str) -> Scene:
        """Put the shop's row in the state that a table's column names."""
        match name:
            case "gone":
                return self.vanished()
            case "unreadable":
                return self.with_row(self.unreadable())
            case "unmapped":
                return self.with_order(state=OrderState.UNKNOWN, status="7")
            case "paid" | "refunded":
                return self.with_order(state=OrderState(name), transaction_id="T1")
            case "paid, other" | "refunded, other":
                return self.with_order(state=OrderState(name.partition(",")[0]), transaction_id="T0")
            case _:
                return self.with_order(state=OrderState(name))


@pytest.fixture(scope="session")
def scene() -> Scene:
    return Scene()


def digests_of(scene: Scene) -> frozenset[str]:
    """Give what a person would approve: the question that the scene leads to."""
    decision = scene.decide()
    return frozenset({decision.digest(scene.attempt.number)}) if isinstance(decision, OpenCase) else frozenset()
