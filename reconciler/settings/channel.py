"""What every channel has, whatever its gateway: each gateway's own settings model extends it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from reconciler.settings.types import Strict

_LABEL = re.compile(r"(?!xn--)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?|xn--[A-Za-z0-9-]{1,59}")
RATE_MAX = 10_000
CONCURRENCY_MAX = 1024
ENDPOINT_LENGTH_MAX = 2048
SHOP_VALUES_MAX = 1000
SHOP_VALUE_LENGTH_MAX = 255


def text_of_shop_value(value: object) -> str:
    """Give a channel column's value as the text it is compared by: 3 and "3" are one, true is "1" (as in MySQL)."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | str):
        return str(value)
    raise ValueError('holds something that is no channel value; write numbers or text, like [3, "zfbf2f"]')


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError('is not a list; write it like [3, "zfbf2f"]')  # noqa: TRY004 # pydantic wants ValueError
    texts = tuple(text_of_shop_value(each) for each in value)
    if len(texts) > SHOP_VALUES_MAX or any(len(text) > SHOP_VALUE_LENGTH_MAX for text in texts):
        raise ValueError(f"holds more than {SHOP_VALUES_MAX} values, or one longer than {SHOP_VALUE_LENGTH_MAX}")
    if len(set(texts)) < len(texts):
        raise ValueError('names a value twice (3 and "3" are the same); name each once')
    return texts


def _endpoint(value: object) -> str:
    example = "write it like https://openapi.alipay.com/gateway.do"
    if not isinstance(value, str) or not 0 < len(value) <= ENDPOINT_LENGTH_MAX:
        raise ValueError(f"is not a URL; {example}")
    if not all("!" <= character <= "~" and character != "\\" for character in value):
        raise ValueError(f"holds a character that no URL has; {example}")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL; {example}") from error
    if (
        not host
        or not _is_host(host)
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
        or value.endswith(("?", "#"))
    ):
        raise ValueError(f"must be scheme, host and path only; {example}")
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        return value.rstrip("/")
    raise ValueError(f"must begin with https:// (http:// goes to a loopback address only); {example}")


def _is_host(host: str) -> bool:
    """Whether a name server, or nobody, could be asked for it: an address, or labels of 1 to 63 characters."""
    if ":" in host:
        try:
            return bool(ipaddress.ip_address(host))
        except ValueError:
            return False
    return all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine. Every request asks, about the same few."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


ShopValues = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Endpoint = Annotated[str, BeforeValidator(_endpoint)]


class ChannelSettings(Strict):
    """One merchant account at one gateway: `[channels.NAME]`. A gateway extends it and gives `endpoint` a default."""

    private_fields: ClassVar[frozenset[str]] = frozenset()
    """Fields of type Secret whose file holds a private or symmetric key: others than its owner must not read it."""

    gateway: str
    shop_values: ShopValues = ()
    """What the shop's channel column holds for it, as text."""
    endpoint: Endpoint
    """`https://…`, or `http://` to a loopback address; without a trailing slash."""
    rate: Annotated[float, Field(gt=0, le=RATE_MAX, allow_inf_nan=False)] = 20.0
    """Queries a second."""
    concurrency: Annotated[int, Field(ge=1, le=CONCURRENCY_MAX)] = 32

    def problems(self) -> Iterable[tuple[str, str]]:
        """Name each field whose loaded secret is of no use, and say what is wrong without the value.

        Called in the third pass, when every Secret of the table has been loaded; not for commands that ask no gateway.
        """
        return ()

    def account(self) -> tuple[object, ...]:
        """Tell accounts apart: two channels of a gateway with equal ones are one account under two names.

        By default all that the gateway's own model adds; where a few keys are enough (an app_id), override it.
        """
        own = [key for key in type(self).model_fields if key not in ChannelSettings.model_fields]
        return tuple(getattr(self, key) for key in own)
