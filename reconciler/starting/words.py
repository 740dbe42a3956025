"""What shops call things: columns by their role, states, channels. Earlier patterns are better ones."""

from __future__ import annotations

import re
from typing import Final

from reconciler.shops.sql.columns import Kind

_NUMBERED: Final = frozenset({Kind.TEXT, Kind.INTEGER, Kind.NUMBER})
_MOMENTS: Final = frozenset({Kind.MOMENT, Kind.INTEGER, Kind.TEXT})
_CODES: Final = frozenset({Kind.INTEGER, Kind.TEXT, Kind.BOOLEAN, Kind.BITS, Kind.OTHER})

TABLES: Final = (
    r"(\w+_)?orders?",
    r"(\w+_)?order_?(info|main|master|header)",
    r"\w*(订单|订单表)",
    r"(\w+_)?(trades?|pay_?orders?|payments?|bills?)",
    r"\w*order\w*",
)
NOT_TABLES: Final = r"item|detail|goods|log|refund|address|setting|history|cart|sku|extension|notify|明细|日志|退款"

ROLES: Final[dict[str, tuple[frozenset[Kind], tuple[str, ...]]]] = {
    "out_trade_no": (
        _NUMBERED,
        (
            r"out(er)?_?trade_?(no|sn)",
            r"(pay|payment|pay_?order|merchant_trade)_?(sn|no|number)",
            r"商户订单号|支付单号",
        ),
    ),
    "order_no": (
        _NUMBERED,
        (
            r"order_?(sn|no|num|number|code)",
            r"订单号|订单编号|单号",
            r"merchant_order_(id|no)",
            r"(sn|no|number|order_id)",
        ),
    ),
    "transaction_id": (
        frozenset({Kind.TEXT, Kind.OTHER}),
        (
            r"(wx_|ali(pay)?_)?transaction_?(id|no|sn)",
            r"(third|channel|platform|pay|gateway)_?(trade|order|pay|transaction)_?(no|id|sn)",
            r"trade_?no|serial_?no|pay_?id",
            r"交易号|交易单号|流水号|支付流水号",
        ),
    ),
    "amount": (
        frozenset({Kind.NUMBER, Kind.INTEGER, Kind.OTHER}),
        (
            r"(actual|real|final|pay|paid|payable)_?(price|amount|money|fee|fen|total|cents?)",
            r"实付\w*|应付\w*|支付金额|付款金额",
            r"(order|total)_?(amount|price|money|fee|fen|cents?)",
            r"amount|price|money|total|fee",
            r"金额|总价|总额|订单金额",
        ),
    ),
    "status": (
        _CODES,
        (
            r"order_?(status|state)",
            r"status|state",
            r"订单状态|状态",
            r"(pay|trade|payment)_?(status|state)",
            r"支付状态|已付|已支付",
            r"(is_?)?paid",
        ),
    ),
    "created_at": (
        _MOMENTS,
        (
            r"created?_?(at|time|date|on)",
            r"(add|order|insert)_?time|gmt_created?|ctime|date_added",
            r"下单时间|创建时间|添加时间",
            r"created?|time",
        ),
    ),
    "paid_at": (_MOMENTS, (r"(pay|paid|payment|success)_?(at|time|date|on)", r"支付时间|付款时间|到账时间")),
    "channel": (
        _CODES,
        (
            r"pay(ment)?_?(channel|code|way|method|type|mode)(_?(id|code))?",
            r"支付方式|支付渠道|付款方式",
            r"channel(_?(code|id))?|payment|pay_id",
        ),
    ),
    "touch": (
        _MOMENTS,
        (r"updated?_?(at|time|on)?|modif(y|ied)_?(at|time|on)?|gmt_modified|mtime", r"更新时间|修改时间|更新"),
    ),
}
"""By the names of `[shop.orders]`, in the order in which columns are given away."""

DELETED_AT: Final = r"deleted?_?(at|time)|删除时间"
IS_DELETED: Final = r"(is_?)?(del|deleted)|delete_?(status|flag)|(is_?)?removed|已删除"

STATES: Final = {
    "refunded": r"refund|(charge|pay|cash)_?back|^(money_?|sent_?|gone_?|given_?)?back$|^returned$|退款|退货",
    "pending": (
        r"wait(ing)?_?(for_?)?(buyer_?)?_?pay|not_?pa(y|id)|un_?paid|pending|^(created?|new|init|wait|waiting|open)$"
        r"|待付款|待支付|未支付|未付款|等待付款"
    ),
    "closed": r"clos|cancel|expire|timeout|invalid|fail|void|关闭|取消|过期|失效|无效|超时",
    "paid": (
        r"paid|pay_?success|success|ship|sent|deliver|finish|complet|done|received|process"
        r"|待发货|待收货|已付款|已支付|已发货|已完成|已收货|待处理|处理中|支付成功|成功|完成"
    ),
}
"""What a state's own name, or its column's comment, says; looked through in this order."""
JUST_PAID: Final = (
    r"^((is|order|buyer|trade)_?)?pa(id|yed)$|(^|_)success$|pay(ment)?_?success"
    r"|已付款?$|已支付$|支付成功|付款成功|待发货"
)
"""What the state is called that the callback's code sets."""
CHANNELS: Final = {"alipay": r"ali|zfb|支付宝", "wechat": r"wx|wechat|weixin|wepay|wescan|微信"}
"""Gateways, by what shops call their channels."""

COMMENTED: Final = re.compile(
    r"(?P<value>-?\d+|[A-Za-z_]{2,32})\s*(?:->|=>|[-=:：→、.)）\s])\s*"
    r"(?P<meaning>[A-Za-z\u4e00-\u9fff][\w\u4e00-\u9fff ]*)"
)
"""`0->待付款；1->待发货` in a column's comment."""


def rank(patterns: tuple[str, ...], name: str) -> int | None:
    """Say which pattern a name fits first, 0 the best; None where it fits none."""
    matches = (place for place, pattern in enumerate(patterns) if re.fullmatch(pattern, name, re.IGNORECASE))
    return next(matches, None)


def meaning(words: dict[str, str], text: str) -> str | None:
    """Say what a text means."""
    return next((name for name, pattern in words.items() if re.search(pattern, text, re.IGNORECASE)), None)


def commented(comment: str) -> dict[str, str]:
    """Read what a column's comment says of its values."""
    return {match["value"]: match["meaning"].strip() for match in COMMENTED.finditer(comment)}
