"""WeChat Pay's own signature over kept evidence, checked again."""

from __future__ import annotations

from reconciler.domain.answer import Evidence, VerifyingKey
from reconciler.gateways.keys import KeyUnreadable, kept_key
from reconciler.gateways.wechat.signing import fault_of


def verify_evidence(evidence: Evidence, key: VerifyingKey) -> str | None:
    """Say why WeChat Pay's signature does not verify over this evidence; None where it does.

    The signed time is judged against when the answer arrived, not against now: also after the key was rotated.
    """
    if evidence.gateway != "wechat" or evidence.key_fingerprint != key.fingerprint:
        return "this evidence names another gateway or key"
    try:
        public_key = kept_key(key)
    except KeyUnreadable as problem:
        return f"the kept key {problem}"
    return fault_of(evidence.headers, evidence.body, public_key, evidence.received_at)
