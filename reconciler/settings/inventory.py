"""Every secret of a configuration: what nothing of ours must ever print."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from reconciler.settings.model import Settings
from reconciler.settings.secret import Secret
from reconciler.settings.types import Strict
from reconciler.settings.urls import password_in

PROXIES = ("https_proxy", "all_proxy")


def secrets_in(value: object) -> Iterator[Secret]:
    """Give every secret in a table and in the tables below it."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, Strict):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from secrets_in(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from secrets_in(each)


def never_printed(settings: Settings) -> Iterator[str | bytes]:
    """Give what must not be printed: the secrets, and the passwords in URLs of the file and of the environment."""
    for secret in secrets_in(settings):
        yield secret.reveal()
    proxies = (value for name, value in os.environ.items() if name.lower() in PROXIES)
    urls = (settings.shop.url, settings.shop.read_url or "", settings.ledger.url, *proxies)
    for password in filter(None, map(password_in, urls)):
        yield from (password, unquote(password))
