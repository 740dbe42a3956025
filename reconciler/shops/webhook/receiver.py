"""The way to the shop's own code: one signed POST, one deadline, no redirect, a bounded answer."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import Final, Protocol

from reconciler.ports import Accepted, Clock, Declined, Move, Told, Undelivered
from reconciler.shops.webhook.answer import words_of
from reconciler.shops.webhook.signing import Confirmation, SigningKey, body_of, headers_of, message_id
from reconciler.transport import HttpRequest, HttpResponse, TransportFailure

ANSWER_BYTES_MAX: Final = 64 * 1024
DEADLINE: Final = timedelta(seconds=10)
"""From connecting to the answer's last byte."""
_AGAIN: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
"""The 4xx that say "not now" (RFC 9110, 8470, 6585)."""


class Sender(Protocol):
    """What this needs of `reconciler.transport.Transport`."""

    async def send(self, request: HttpRequest, timeout: timedelta) -> HttpResponse:  # noqa: ASYNC109 # Transport's own signature
        """Send one request and take the whole answer. Raises TransportFailure."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class WebhookReceiver:
    """The shop's own code (`reconciler.ports.Receiver`), behind a URL.

    `shop` names database and table, as `signing.message_id` wants it. The sender must bound the answer to
    `ANSWER_BYTES_MAX` and follow no redirect.
    """

    def __init__(self, sender: Sender, url: str, key: SigningKey, shop: str, clock: Clock) -> None:
        self._sender = sender
        self._url = url
        self._key = key
        self._shop = shop
        self._clock = clock

    async def tell(self, move: Move) -> Told:
        """Tell of one order's payment. Raises ValueError for a group: a webhook settles one order at a time."""
        try:
            response = await self._sender.send(self._request(move), DEADLINE)
        except TransportFailure as failure:
            return Undelivered(failure.reason)
        return _read(response, move)

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.close()

    def _request(self, move: Move) -> HttpRequest:
        (order,) = move.orders
        body = body_of(
            Confirmation(
                order_key=order.key,
                order_no=order.order_no,
                out_trade_no=move.out_trade_no,
                channel=move.channel,
                transaction_id=move.transaction_id,
                amount=move.amount,
                paid_at=move.paid_at,
            )
        )
        headers = headers_of(self._key, message_id(self._shop, order.key), self._clock.now(), body)
        return HttpRequest("POST", self._url, tuple(headers.items()), body)


def _read(response: HttpResponse, move: Move) -> Told:
    status = response.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Accepted()
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _AGAIN:
        return Undelivered(f"it answers {status}")
    if status >= HTTPStatus.BAD_REQUEST:
        (order,) = move.orders
        ours = (order.key, order.order_no, move.out_trade_no, move.transaction_id, move.channel)
        return Declined(status, words_of(response.body, ours) or "without a word")
    return Declined(status, "a redirect, or no answer at all; it is not followed: name the address itself")
