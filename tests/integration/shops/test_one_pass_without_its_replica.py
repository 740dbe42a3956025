"""`run --once` where the replica is away: what is watched is asked about and settled, and it ends with 1 and a line."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from reconciler.sandbox.keys import Keys, keep_keys
from tests.integration.databases import SERVERS
from tests.integration.doctor.patient import Patient, patient


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Keys]:
    directory = tmp_path_factory.mktemp("keys")
    return directory, keep_keys(directory)


async def one_pass(made: Patient) -> tuple[int, str]:
    await asyncio.to_thread(made.config.write_text, made.text)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "reconciler", "run", "--once", "--config", str(made.config),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.parametrize("kind", SERVERS)
async def test_what_is_due_is_settled_and_what_was_not_looked_for_is_said(
    kind: str, tmp_path: Path, kept: tuple[Path, Keys]
) -> None:
    async with patient(kind, tmp_path, *kept, {}) as made:
        await made.paid("A1")
        await made.base.script("UPDATE orders SET status = 1, transaction_id = NULL, paid_at = NULL")
        made.edit('mode = "enforce"', 'mode = "observe"')  # so that it is known, and due when settling is switched on
        code, output = await one_pass(made)
        assert code == 0, output
        assert "would settle 1" in output
        await made.order("A2")
        away = make_url(made.url()).set(port=1).render_as_string()
        made.edit("[shop.orders]\n", f'read_url = "{away}"\n[shop.orders]\n')
        made.edit('mode = "observe"', 'mode = "enforce"')
        code, output = await one_pass(made)
        assert code == 1, output
        assert "settled   1" in output
        assert "found     0" in output
        last = output.splitlines()[-1]
        assert last.startswith(
            "what was due was asked, but not all was done: replica (new orders are not found meanwhile)"
        )
        assert "shop.read_url" in last
        assert output.count("replica.unavailable") == 1
        assert await made.base.rows("SELECT order_no, status FROM orders ORDER BY order_no") == [("A1", 2), ("A2", 1)]
