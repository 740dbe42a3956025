"""What Alipay's gateway.do makes of a request before it looks at any trade (gateways.md 1.2, 1.3, 1.6, 1.8)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import parse_qsl

from reconciler.sandbox.accounts import Accounts
from reconciler.sandbox.beijing import parse_beijing
from reconciler.sandbox.keys import Keys, verifies
from reconciler.sandbox.wire import is_sane

CLOCK_TOLERANCE = timedelta(minutes=15)
"""The real one is not documented; ours is narrow enough to find a clock that forgot Beijing."""
FIELDS_MAX = 100
REQUIRED = ("app_id", "method", "charset", "sign_type", "sign", "timestamp", "version", "biz_content")
CERTIFICATE_MODE = ("app_cert_sn", "alipay_root_cert_sn")


class Method(StrEnum):
    """What the sandbox's Alipay can do."""

    QUERY = "alipay.trade.query"
    CLOSE = "alipay.trade.close"
    REFUND_QUERY = "alipay.trade.fastpay.refund.query"


class Refusal(Exception):
    """A request that is answered with an error: code, msg, sub_code, sub_msg (gateways.md 1.8)."""

    def __init__(self, code: str, msg: str, sub_code: str, sub_msg: str = "") -> None:
        super().__init__(sub_code)
        self.value = {"code": code, "msg": msg, "sub_code": sub_code, "sub_msg": sub_msg or sub_code}


@dataclass(frozen=True, slots=True)
class Call:
    """A request that passed every check."""

    method: Method
    number: str
    """What it is about: an out_trade_no, or Alipay's own number."""
    by_transaction: bool
    """Whether `number` is Alipay's own."""
    out_request_no: str
    """Of a refund query; else empty."""
    in_certificate_mode: bool


def root_of(method: str) -> str:
    """Give the name that the answer's value stands under; a method that nobody knows has none of its own."""
    return f"{method.replace('.', '_')}_response" if method in set(Method) else "error_response"


def parameters(query: str, body: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """Give the URL's parameters, and those of URL and form together. A name given twice is refused."""
    try:
        in_url = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
        in_form = parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise _invalid("isv.invalid-encoding") from error
    given = dict(in_url + in_form)
    if len(given) < len(in_url) + len(in_form):
        raise _invalid("isv.suspected-attack", "a parameter is given twice")
    return dict(in_url), given


def verified(
    in_url: Mapping[str, str], given: Mapping[str, str], keys: Keys, accounts: Accounts, now: datetime
) -> Call:  # fmt: skip
    """Check everything that is not about a trade. Raises Refusal."""
    if given.get("app_id") != accounts.app_id:  # the real gateway too looks at app_id before the signature
        raise _invalid("isv.invalid-app-id", "无效的AppID参数")
    in_certificate_mode = any(given.get(name) for name in CERTIFICATE_MODE)
    for name in (*REQUIRED, *(CERTIFICATE_MODE if in_certificate_mode else ())):
        if not given.get(name):
            raise Refusal("40001", "Missing Required Arguments", f"isv.missing-{name.replace('_', '-')}")
    if in_url.get("charset", "").lower() != "utf-8":
        raise _invalid("isv.invalid-charset", "charset must be in the URL's query, and utf-8 here")
    if given["sign_type"] != "RSA2":
        raise _invalid("isv.invalid-signature-type")
    if in_certificate_mode:
        _check_certificates(given, keys)
    text = "&".join(f"{name}={given[name]}" for name in sorted(given) if name != "sign" and given[name])
    if not verifies(keys.app.public_key(), given["sign"], text.encode()):
        raise _invalid("isv.invalid-signature", f"验签出错, 待验签字符串: {text}")
    if given["method"] not in set(Method) or given["version"] != "1.0" or given.get("format", "JSON").upper() != "JSON":
        raise _invalid("isv.invalid-method", f"the sandbox answers {', '.join(Method)}, version 1.0, format JSON")
    if given.get("app_auth_token", keys.app_auth_token) not in {"", keys.app_auth_token}:
        raise Refusal("20001", "Insufficient Token Permissions", "aop.invalid-app-auth-token", "无效的应用授权令牌")
    _check_time(given["timestamp"], now)
    return _call(Method(given["method"]), given["biz_content"], in_certificate_mode=in_certificate_mode)


def _check_certificates(given: Mapping[str, str], keys: Keys) -> None:
    """Refuse an application's certificate or a root that is not ours, in the words of Alipay's list of errors."""
    if given["app_cert_sn"] != keys.certificates.app_sn:
        raise _invalid("isv.app-cert-not-exist", "应用公钥证书不存在")
    if given["alipay_root_cert_sn"] != keys.certificates.root_sn:
        raise _invalid("isv.invalid-alipay-root-cert-sn", "无效的支付宝根证书序列号")


def _check_time(text: str, now: datetime) -> None:
    try:
        gap = abs(parse_beijing(text) - now)
    except ValueError as error:
        raise _invalid("isv.invalid-timestamp") from error
    if gap > CLOCK_TOLERANCE:
        raise _invalid("isv.invalid-timestamp", f"off by {gap}; Beijing time is due")


def _call(method: Method, biz_content: str, *, in_certificate_mode: bool) -> Call:
    """Read what is asked; trade_no wins over out_trade_no (gateways.md 1.4)."""
    try:
        content = json.loads(biz_content)
    except (ValueError, RecursionError) as error:
        raise _invalid("isv.illegal-json") from error
    if not isinstance(content, dict):
        raise _invalid("isv.illegal-json")
    number = content.get("trade_no") or content.get("out_trade_no")
    request_no = content.get("out_request_no") if method is Method.REFUND_QUERY else ""
    if not isinstance(number, str) or not is_sane(number) or not isinstance(request_no, str):
        raise Refusal("40004", "Business Failed", "ACQ.INVALID_PARAMETER", "参数无效")
    return Call(method, number, bool(content.get("trade_no")), request_no, in_certificate_mode)


def _invalid(sub_code: str, sub_msg: str = "") -> Refusal:
    return Refusal("40002", "Invalid Arguments", sub_code, sub_msg)
