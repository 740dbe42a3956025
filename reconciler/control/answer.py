"""What became of an act on a case, as the commands' JSON documents it."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.ports import Case, CaseId


def case_answer(
    number: CaseId, case: Case | None, why: str, *, done: bool, finding: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Put it together; `case` is None where there is none of this number."""
    return {
        "case": number,
        "kind": case.kind.value if case else None,
        "order_no": case.order_no if case else None,
        "done": done,
        "why": why,
        "finding": finding,
    }
