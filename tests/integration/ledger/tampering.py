"""A ledger as a day leaves it, and ways to tamper with it behind its back."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable, select, update

from reconciler.ledger import SqlLedger, open_ledger
from reconciler.ledger.chain import EntryRow, hash_of
from reconciler.ledger.tables import entries, evidence, verifying_keys
from reconciler.ledger.verify import Verification, verify
from tests.integration.databases import Database
from tests.integration.ledger.signed import KINDS_OF_ENTRIES, VERIFIERS, alipay, day, key_of, wechat
from tests.unit.gateways.alipay_bench import certificate

MODULE = importlib.import_module("reconciler.ledger.verify")  # the package has a function of that name
LAST = len(KINDS_OF_ENTRIES)
SETTLED_BY_ALIPAY = alipay("N1").digest()
SETTLED_BY_WECHAT = wechat("N2").digest()
TABLES = (entries, evidence, verifying_keys)


@dataclass
class Bench:
    base: Database
    ledger: SqlLedger
    head: tuple[int, str]

    async def tamper(self, statements: Sequence[Executable]) -> None:
        for statement in statements:
            assert (await self.base.connection.execute(statement)).rowcount

    async def found(self, *heads: tuple[int, str]) -> Verification:
        return await verify(self.ledger, VERIFIERS, heads)


@asynccontextmanager
async def bench_of(base: Database) -> AsyncIterator[Bench]:
    """Fill a ledger, and close it at the end."""
    ledger = await open_ledger(base.url)
    try:
        await day(ledger)
        yield Bench(base, ledger, await ledger.head())
    finally:
        await ledger.close()


def entry(number: int, **values: object) -> Executable:
    return update(entries).where(entries.c.id == number).values(**values)


def kept(known: str, **values: object) -> Executable:
    return update(evidence).where(evidence.c.digest == known).values(**values)


def key(gateway: str, **values: object) -> Executable:
    return update(verifying_keys).where(verifying_keys.c.fingerprint == key_of(gateway).fingerprint).values(**values)


def certified(signer: Any) -> str:  # noqa: ANN401 # the bench's own union
    return key_of("alipay").pem + certificate(signer, "Alipay").decode()


async def renewed(bench: Bench) -> None:
    """Write the whole chain anew, as one who knows how."""
    previous = "0" * 64
    for found in (await bench.base.connection.execute(select(entries).order_by(entries.c.id))).all():
        row = dataclasses.replace(EntryRow(*found), previous=previous)
        previous = hash_of(row)
        await bench.tamper([entry(row.id, previous=row.previous, hash=previous)])
