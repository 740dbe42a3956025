"""Alipay's own signature over kept evidence, checked again."""

from __future__ import annotations

from reconciler.domain.answer import Evidence, VerifyingKey
from reconciler.gateways.alipay.signing import Method, open_envelope
from reconciler.gateways.keys import KeyUnreadable, kept_key, verifies
from reconciler.gateways.strict_json import Malformed


def verify_evidence(evidence: Evidence, key: VerifyingKey) -> str | None:
    """Say why Alipay's signature does not verify over this evidence; None where it does.

    What was asked says which root the answer must have, never the answer itself.
    """
    if evidence.gateway != "alipay" or evidence.key_fingerprint != key.fingerprint:
        return "this evidence names another gateway or key"
    asked = evidence.request.partition(" ")[0]
    if asked not in {method.value for method in Method}:
        return "this evidence is of nothing that we ask Alipay"
    try:
        public_key = kept_key(key)
        envelope = open_envelope(evidence.body, Method(asked).root)
    except KeyUnreadable as problem:
        return f"the kept key {problem}"
    except Malformed as problem:
        return f"malformed answer: {problem}"
    if envelope.signature is None:
        return "the answer carries no signature"
    if not verifies(public_key, envelope.signature, envelope.content):
        return "the signature does not verify"
    return None
