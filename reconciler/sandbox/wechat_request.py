"""What WeChat Pay v3 makes of a request before it looks at any trade (gateways.md 2.1, 2.2, 2.6)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import parse_qsl, unquote

from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.keys import Keys, verifies
from reconciler.sandbox.wire import Request

PREFIX = "/v3/pay/transactions/out-trade-no/"
PARTNER_PREFIX = "/v3/pay/partner/transactions/out-trade-no/"
CERTIFICATES = "/v3/certificates"
CLOSE = "/close"
SCHEME = "WECHATPAY2-SHA256-RSA2048"
CLOCK_TOLERANCE_S = 300
FIELDS_MAX = 20
NUMBER = re.compile(r"[A-Za-z0-9_\-*|@]{6,32}")
_PAIR = re.compile(r'\s*([a-z_]+)="([^"]*)"\s*')


class Refusal(Exception):
    """A request that is answered with an HTTP error and {code, message, detail} (gateways.md 2.6)."""

    def __init__(self, status: int, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        """What the detail names as wrong, like `mchid`; empty: there is no detail."""


class Action(StrEnum):
    """What the sandbox's WeChat can do."""

    QUERY = "query"
    CLOSE = "close"
    CERTIFICATES = "certificates"


@dataclass(frozen=True, slots=True)
class Call:
    """A request that passed every check."""

    action: Action
    number: str = ""
    """The out_trade_no; empty for certificates."""
    by_partner: bool = False
    """Whether a service provider asks for its merchant."""


def verified(request: Request, keys: Keys, accounts: Accounts, now: datetime) -> Call:
    """Check everything that is not about a trade. Raises Refusal."""
    _check_headers(request.headers)
    _check_signature(request, keys, accounts, now)
    path, _, query = request.target.partition("?")
    if path == CERTIFICATES and request.method == "GET":
        return Call(Action.CERTIFICATES)
    by_partner = path.startswith(PARTNER_PREFIX)
    rest = path.removeprefix(PARTNER_PREFIX if by_partner else PREFIX)
    match request.method:
        case "GET":
            action, merchants = Action.QUERY, _in_query(query)
        case "POST" if rest.endswith(CLOSE):
            action, rest, merchants = Action.CLOSE, rest.removesuffix(CLOSE), _in_body(request)
        case _:
            raise Refusal(404, "RESOURCE_NOT_EXISTS", "请求的资源不存在")
    _check_merchants(merchants, accounts, by_partner=by_partner)
    number = unquote(rest)
    if not NUMBER.fullmatch(number):
        message = "输入源“/path/out_trade_no”映射到值字段“商户订单号”字符串规则校验失败"
        raise Refusal(400, "PARAM_ERROR", message, "out_trade_no")
    return Call(action, number, by_partner)


def _check_headers(headers: Mapping[str, str]) -> None:
    for name in ("Accept", "User-Agent"):
        if not headers.get(name):
            raise Refusal(400, "PARAM_ERROR", f"HTTP头缺少{name}")
    if "application/json" not in headers["Accept"] and "*/*" not in headers["Accept"]:
        raise Refusal(400, "PARAM_ERROR", "Accept must take application/json")


def _check_signature(request: Request, keys: Keys, accounts: Accounts, now: datetime) -> None:
    given = _authorization(request.headers.get("Authorization", ""))
    if given["mchid"] != accounts.mchid:
        raise Refusal(401, "SIGN_ERROR", "商户号不存在")
    if given["serial_no"] != accounts.serial_no:
        raise Refusal(401, "SIGN_ERROR", "商户证书序列号有误")
    if not re.fullmatch(r"[0-9]{1,12}", given["timestamp"]):
        raise Refusal(401, "SIGN_ERROR", "Http头Authorization值格式错误: timestamp")
    if abs(int(given["timestamp"]) - now.timestamp()) > CLOCK_TOLERANCE_S:
        raise Refusal(401, "SIGN_ERROR", "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
    head = f"{request.method}\n{request.target}\n{given['timestamp']}\n{given['nonce_str']}\n"
    if not verifies(keys.merchant.public_key(), given["signature"], head.encode() + request.body + b"\n"):
        raise Refusal(401, "SIGN_ERROR", "错误的签名，验签失败")


def _in_query(query: str) -> dict[str, object]:
    try:
        asked = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise Refusal(400, "PARAM_ERROR", "查询参数格式错误") from error
    if len(dict(asked)) < len(asked):
        raise Refusal(400, "PARAM_ERROR", "查询参数重复")
    return dict(asked)


def _in_body(request: Request) -> dict[str, object]:
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(400, "PARAM_ERROR", "Content-Type must be application/json")
    try:
        sent = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "PARAM_ERROR", "请求报文不是合法的JSON") from error
    if not isinstance(sent, dict):
        raise Refusal(400, "PARAM_ERROR", "请求报文不是JSON对象")
    return sent


def _check_merchants(given: Mapping[str, object], accounts: Accounts, *, by_partner: bool) -> None:
    """Refuse who asks for somebody else: another pair is no pair of a service provider and its merchant."""
    own = "sp_mchid" if by_partner else "mchid"
    if set(given) != ({own, "sub_mchid"} if by_partner else {own}) or given[own] != accounts.mchid:
        raise Refusal(400, "PARAM_ERROR", f"参数错误: {own}", own)
    if by_partner and given["sub_mchid"] != accounts.sub_mchid:
        raise Refusal(403, "NO_AUTH", "特约子商户商户号未授权服务商的产品权限")


def _authorization(text: str) -> Mapping[str, str]:
    scheme, _, rest = text.partition(" ")
    if scheme != SCHEME:
        raise Refusal(401, "SIGN_ERROR", f"Http头Authorization认证类型不正确: {SCHEME} is due")
    given: dict[str, str] = {}
    for part in rest.split(","):
        pair = _PAIR.fullmatch(part)
        if pair is None or pair[1] in given:
            raise Refusal(401, "SIGN_ERROR", "Http头Authorization值格式错误")
        given[pair[1]] = pair[2]
    if set(given) != {"mchid", "nonce_str", "timestamp", "serial_no", "signature"} or not given["nonce_str"]:
        raise Refusal(
            401, "SIGN_ERROR", "Http头Authorization值格式错误: mchid, nonce_str, timestamp, serial_no, signature"
        )
    return given
