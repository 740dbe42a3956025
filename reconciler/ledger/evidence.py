"""Evidence and the keys that verify it: stored once each, by digest and by fingerprint."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.domain.answer import Evidence, VerifyingKey
from reconciler.ledger.tables import evidence, verifying_keys
from reconciler.ledger.values import canonical, chunks


async def store(connection: AsyncConnection, found: Mapping[str, Evidence | None], used_at: int) -> None:
    """Store what is not there yet; what is there is in use until `used_at` at least.

    None for a digest: only say that it is in use, where it is still kept.
    """
    for digests in chunks(sorted(found)):
        kept = set(
            (await connection.execute(select(evidence.c.digest).where(evidence.c.digest.in_(digests)))).scalars()
        )
        if kept:
            await connection.execute(
                update(evidence)
                .where(evidence.c.digest.in_(sorted(kept)), evidence.c.used_at < used_at)
                .values(used_at=used_at)
            )
        rows = [
            _row(digest, item, used_at)
            for digest in digests
            if digest not in kept and (item := found[digest]) is not None
        ]
        if rows:
            await connection.execute(insert(evidence), rows)


async def store_keys(connection: AsyncConnection, keys: Mapping[str, VerifyingKey]) -> None:
    """Store the keys that are not there yet."""
    for fingerprints in chunks(sorted(keys)):
        kept = await _fingerprints(connection, fingerprints)
        rows = [{"fingerprint": name, "pem": keys[name].pem} for name in fingerprints if name not in kept]
        if rows:
            await connection.execute(insert(verifying_keys), rows)


async def load_rows(connection: AsyncConnection, digests: Iterable[str]) -> dict[str, RowMapping]:
    """Read the evidence that is still kept, by digest, as it stands in its rows."""
    rows: dict[str, RowMapping] = {}
    for some in chunks(sorted(set(digests))):
        result = await connection.execute(select(evidence).where(evidence.c.digest.in_(some)))
        rows.update({row["digest"]: row for row in result.mappings()})
    return rows


async def load_keys(connection: AsyncConnection, fingerprints: Iterable[str]) -> dict[str, VerifyingKey]:
    """Read keys by fingerprint."""
    keys: dict[str, VerifyingKey] = {}
    for some in chunks(sorted(set(fingerprints))):
        result = await connection.execute(select(verifying_keys).where(verifying_keys.c.fingerprint.in_(some)))
        keys.update({row.fingerprint: VerifyingKey(row.fingerprint, row.pem) for row in result})
    return keys


def read(row: RowMapping) -> Evidence:
    """Make evidence of its row. Raises ValueError or TypeError where somebody wrote nonsense into it."""
    if not isinstance(row["body"], bytes):
        raise TypeError(f"its body is {type(row['body']).__name__}")  # SQLite keeps anything; bytes(10**12) is a trap
    return Evidence(
        gateway=row["gateway"],
        request=row["request"],
        status=row["status"],
        headers=tuple((name, value) for name, value in json.loads(row["headers"])),
        body=row["body"],
        key_fingerprint=row["key_fingerprint"],
        received_at=datetime.fromisoformat(row["received_at"]),
    )


async def _fingerprints(connection: AsyncConnection, some: Collection[str]) -> set[str]:
    result = await connection.execute(
        select(verifying_keys.c.fingerprint).where(verifying_keys.c.fingerprint.in_(some))
    )
    return set(result.scalars())


def _row(digest: str, item: Evidence, used_at: int) -> dict[str, Any]:
    return {
        "digest": digest,
        "gateway": item.gateway,
        "request": item.request,
        "status": item.status,
        "headers": canonical([list(pair) for pair in item.headers]),
        "body": item.body,
        "key_fingerprint": item.key_fingerprint,
        "received_at": item.received_at.isoformat(),
        "used_at": used_at,
    }
