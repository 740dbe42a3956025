"""What is said of cases: one by its facts, many by their number, their sum and a few examples. No input or output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final, assert_never

from reconciler.events import Severity
from reconciler.ops.alerts.words import LIST_BYTES_MAX, Voice, fitted, joined
from reconciler.ops.value import moment
from reconciler.ports import Case, CaseNews, Message, News

SECTION_OF: Final = "What to do: docs/how-to/handle-a-case.md"
FACTS_MAX: Final = 6


def message_of(found: Mapping[News, CaseNews], voice: Voice) -> Message | None:
    """Put what was found into one message; None where there is nothing to tell."""
    parts = [(news, found[news]) for news in News if news in found and found[news].total]
    if not parts:
        return None
    title = "; ".join(_headline(news, what) for news, what in parts)
    body = joined([partial(_section, news, what, voice) for news, what in parts])
    is_good = all(news is News.ENDED for news, _ in parts)
    return Message(voice.title(title), body, Severity.NOTICE if is_good else Severity.WARNING)


def _headline(news: News, what: CaseNews) -> str:
    if what.total == 1 and what.examples:
        return _of_one(news, what.examples[0])
    match news:
        case News.OPENED:
            return f"{what.total} new cases"
        case News.STANDING:
            return f"{what.total} cases still open"
        case News.ENDED:
            return f"{what.total} cases ended"
        case _:
            assert_never(news)


def _of_one(news: News, case: Case) -> str:
    amount = f", {case.amount}" if case.amount else ""
    words = {News.OPENED: "", News.STANDING: " still open", News.ENDED: " ended"}[news]
    return f"case {case.id}{words}: {case.kind.value}, order {case.order_no}{amount}"


def _section(news: News, what: CaseNews, voice: Voice, bytes_max: int) -> str:
    if what.total == 1 and what.examples:
        return _one(news, what.examples[0], voice, bytes_max)
    kinds = ", ".join(f"{count} {kind.value}" for kind, count in what.counts)
    first = [voice.line(f"{_headline(news, what)}: {kinds}", LIST_BYTES_MAX)]
    if what.sums and news is not News.ENDED:
        sums = " and ".join(str(total) for total in what.sums)
        of = "" if what.priced == what.total else f" ({what.priced} of them: the others' amounts are not known)"
        first.append(voice.line(f"Their orders amount to {sums}{of}."))
    examples = [voice.line(_example(news, case)) for case in what.examples]
    last = [] if news is News.ENDED else [voice.line(f"Look: reconciler cases list. {SECTION_OF}")]
    return fitted([*first, "The first of them:"] if examples else first, examples, last, bytes_max)


def _example(news: News, case: Case) -> str:
    amount = f" {case.amount}" if case.amount else ""
    since = f" since {moment(case.opened_at)}" if news is News.STANDING else ""
    return f"- {case.id} {case.kind.value} {case.order_no}{amount}{since}: {_why(news, case)}"


def _why(news: News, case: Case) -> str:
    return case.ending if news is News.ENDED else case.why


def _one(news: News, case: Case, voice: Voice, bytes_max: int) -> str:
    lines = [voice.line(line) for line in _lines(news, case)]
    if news is News.ENDED:
        return fitted(lines, (), (), bytes_max)
    differ = [voice.line(str(fact)) for fact in case.facts if not fact.agrees and fact.theirs != fact.ours][:FACTS_MAX]
    last = [f"Look: reconciler cases show {case.id}", f"{SECTION_OF}#{case.kind.value}"]
    return fitted(lines, differ, last, bytes_max)


def _lines(news: News, case: Case) -> Iterator[str]:
    match news:
        case News.OPENED:
            yield f"Case {case.id}, {case.kind.value}, opened {moment(case.opened_at)}: a person must decide."
        case News.STANDING:
            yield f"Case {case.id}, {case.kind.value}, is open since {moment(case.opened_at)}."
        case News.ENDED:
            yield f"Case {case.id}, {case.kind.value} of order {case.order_no}, has ended: {case.ending}"
            return
        case _:
            assert_never(news)
    yield f"order {case.order_no}" + _if(", channel ", case.channel) + _if(", amount ", case.amount)
    yield f"why: {case.why}"


def _if(words: str, value: object) -> str:
    return f"{words}{value}" if value else ""
