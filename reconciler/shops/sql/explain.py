"""Explain instead of run: one option of a statement, on engines that listen for it."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy
from sqlalchemy.ext.asyncio import AsyncEngine

EXPLAINS: Final = "reconciler_explains"
"""Execution option of a statement that is not to be run: what to put before it."""


def listen(engine: AsyncEngine) -> None:
    """Let an engine heed the option."""
    sqlalchemy.event.listen(engine.sync_engine, "before_cursor_execute", _explain_where_asked, retval=True)


def _explain_where_asked(
    _connection: object,
    _cursor: object,
    statement: str,
    parameters: object,
    context: Any,  # noqa: ANN401 # SQLAlchemy's execution context
    _many: object,
) -> tuple[str, object]:
    return f"{context.execution_options.get(EXPLAINS, '')}{statement}", parameters
