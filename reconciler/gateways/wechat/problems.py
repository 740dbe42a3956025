"""What keeps a WeChat Pay channel from being asked: hosts and numbers that do not fit, and keys of no use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from reconciler.gateways.keys import KeyUnreadable, load_private_key, load_public_key
from reconciler.gateways.wechat.certificates import APIV3_KEY_BYTES
from reconciler.gateways.wechat.settings import NO_BACKUP, WechatSettings

NO_KEY: Final = (
    "is missing, and so is apiv3_key: set public_key_id and public_key (public-key mode), or apiv3_key "
    "(platform-certificate mode), or all three while you migrate from certificates to the public key"
)


def of(settings: WechatSettings) -> Iterator[tuple[str, str]]:
    """Name each setting that keeps the channel from being asked, and say what is wrong with it."""
    yield from _hosts(settings)
    if settings.sub_appid is not None and settings.sub_mchid is None:
        yield "sub_appid", "is of use with sub_mchid only: set that too, or leave this out"
    if settings.apiv3_key is not None and len(settings.apiv3_key.reveal()) != APIV3_KEY_BYTES:
        yield (
            "apiv3_key",
            f"is not {APIV3_KEY_BYTES} bytes; copy the APIv3 key that is set on the merchant platform",
        )
    yield from _keys(settings)


def _hosts(settings: WechatSettings) -> Iterator[tuple[str, str]]:
    for name, value in (("endpoint", settings.endpoint), ("backup_endpoint", settings.backup_endpoint or NO_BACKUP)):
        if value != NO_BACKUP and urlsplit(value).path:
            yield name, "must have no path: WeChat signs the path that it sees"
    if settings.backup_endpoint == settings.endpoint:
        yield "backup_endpoint", f'is the endpoint itself; name another host, or "{NO_BACKUP}"'


def _keys(settings: WechatSettings) -> Iterator[tuple[str, str]]:
    own = None
    try:
        own = load_private_key(settings.private_key.reveal())
    except KeyUnreadable as problem:
        yield "private_key", str(problem)
    if settings.public_key_id is None and settings.public_key is None:
        if settings.apiv3_key is None:
            yield "public_key_id", NO_KEY
        return
    if settings.public_key_id is None:
        yield "public_key_id", "is missing; copy it from the merchant platform, like PUB_KEY_ID_0100000001"
    if settings.public_key is None:
        yield "public_key", "is missing; download WeChat Pay's public key from the merchant platform"
        return
    try:
        theirs = load_public_key(settings.public_key.reveal())
    except KeyUnreadable as problem:
        yield "public_key", str(problem)
        return
    if own is not None and own.public_key() == theirs:
        yield "public_key", "is the public half of your own private_key; WeChat Pay's public key is needed"
