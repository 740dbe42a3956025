"""The secrets: who may read their files, and how long the certificates among them last.

That each can be read, and fits the others, the configuration's own check has found already.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import datetime, timedelta

from cryptography.x509 import Certificate

from reconciler.doctor.remark import Remark, fault, warning, well
from reconciler.gateways.certificates import UNREADABLE, load_certificate
from reconciler.gateways.keys import KeyUnreadable
from reconciler.settings.channel import ChannelSettings
from reconciler.settings.inventory import secrets_in
from reconciler.settings.model import Settings
from reconciler.settings.secret import Secret
from reconciler.shops.webhook.signing import SecretUnusable, signing_key

SUBJECT = "credentials"
EXPIRY_NOTICE = timedelta(days=30)


def look(settings: Settings, now: datetime) -> Iterator[Remark]:
    """Look at every file, and into every certificate."""
    remarks = [*_exposed(settings), *_webhook(settings)]
    for name, channel in settings.channels.items():
        remarks += _certificates(name, channel, now)
    count = len(set(secrets_in(settings)))
    yield from remarks or [well(SUBJECT, f"{count} secrets: readable, fitting, and nobody else's to read")]


def _exposed(settings: Settings) -> Iterator[Remark]:
    for secret in dict.fromkeys(secrets_in(settings)):
        if secret.path is not None and secret.is_exposed() and not _is_public(secret):
            yield warning(SUBJECT, f"{secret.path} is open to others", f"chmod 0600 {secret.path}")


def _is_public(secret: Secret) -> bool:
    """Whether it is no secret: a certificate or public key that others may read, if not write."""
    text = secret.reveal()
    is_writable = bool(secret.path and secret.path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    return not is_writable and any(mark in text for mark in (b"BEGIN CERTIFICATE", b"PUBLIC KEY"))


def _webhook(settings: Settings) -> Iterator[Remark]:
    webhook = settings.settle.webhook
    if webhook is None:
        return
    try:
        signing_key(webhook.secret.reveal())
    except SecretUnusable as error:
        yield fault(SUBJECT, f"At settle.webhook.secret: {webhook.secret} {error}", "give both sides one new secret")


def _certificates(channel: str, settings: ChannelSettings, now: datetime) -> Iterator[Remark]:
    for key in type(settings).model_fields:
        value = getattr(settings, key)
        certificate = _certificate(value) if isinstance(value, Secret) else None
        if certificate is None or certificate.issuer == certificate.subject:  # a root's end ends nothing of ours
            continue
        ends_at, where = certificate.not_valid_after_utc, f"channels.{channel}.{key}"
        if ends_at <= now:
            remedy = "download the new certificate from the gateway's platform, and put it there"
            yield fault(SUBJECT, f"{where}: the certificate ended on {ends_at:%Y-%m-%d}", remedy)
        elif ends_at - now < EXPIRY_NOTICE:
            remedy = "renew it on the gateway's platform, and put the new one there before that day"
            yield warning(SUBJECT, f"{where}: the certificate ends on {ends_at:%Y-%m-%d}", remedy)


def _certificate(secret: Secret) -> Certificate | None:
    try:
        return load_certificate(secret.reveal())
    except (KeyUnreadable, *UNREADABLE):
        return None
