"""Links lead somewhere, generated pages are fresh, and nothing is missing from a reference."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from pydantic import BaseModel

from docs.generate import CHINESE, JOURNALD, RENEW, figures, lines, pages, uses
from reconciler.domain.case import CaseKind
from reconciler.events import CATALOGUE
from reconciler.exit import Exit
from reconciler.gateways import SETTINGS
from reconciler.ops.alerts.case_words import SECTION_OF
from reconciler.ops.alerts.trouble_words import anchor
from reconciler.settings.channel import ChannelSettings
from reconciler.settings.model import Settings
from reconciler.settings.problems import tables_of
from tests.unit.docs.book import Book

LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_between_pages_leads_to_a_page_and_a_heading(book: Book) -> None:
    broken, count = [], 0
    for path in book.pages:
        for target in LINK.findall(book.prose(path)):
            assert "://" not in target, f"{path.name}: no page links to the outside"
            file, _, anchor = unquote(target).partition("#")
            there = (path.parent / file).resolve() if file else path
            count += 1
            if not there.is_file() or (anchor and anchor not in _anchors(book.pages.get(there, ""))):
                broken.append(f"{path.name}: {target}")
    assert not broken
    assert count > 50


def test_every_page_is_reached_from_the_readme(book: Book) -> None:
    seen, todo = set(), [next(path for path in book.pages if path.name == "README.md")]
    while todo:
        path = todo.pop()
        if path in seen or path not in book.pages:
            continue
        seen.add(path)
        todo += [(path.parent / target.partition("#")[0]).resolve() for target in LINK.findall(book.prose(path))]
    assert seen == set(book.pages)


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_a_generated_file_is_what_the_code_says(path: Path) -> None:
    assert path.read_text() == pages()[path], f"{path.name} is stale. {RENEW}"


def test_every_event_is_explained_in_chinese_too_with_the_same_names_in_it() -> None:
    chinese = tomllib.loads(CHINESE.read_text())
    assert set(chinese) == set(CATALOGUE)
    for name, kind in CATALOGUE.items():
        english, other = f"{kind.meaning} {kind.advice}", f"{chinese[name]['meaning']} {chinese[name]['advice']}"
        assert set(re.findall(r"`[^`]+`", english)) == set(re.findall(r"`[^`]+`", other)), name


def test_the_journal_catalogue_has_each_event_once_in_each_language() -> None:
    ids = re.findall(r"^-- ([0-9a-f]{32}(?: \w+)?)$", JOURNALD.read_text(), re.MULTILINE)
    assert sorted(ids) == sorted(f"{kind.message_id}{end}" for kind in CATALOGUE.values() for end in ("", " zh_CN"))


def test_every_event_has_its_section_with_its_advice_and_its_fields(book: Book) -> None:
    sections = book.sections("docs/reference/events.md")
    assert set(sections) == set(CATALOGUE)
    for name, kind in CATALOGUE.items():
        assert kind.advice in sections[name]
        assert kind.message_id in sections[name]


def test_every_metric_has_its_line_and_its_section_and_no_line_is_of_no_metric(book: Book) -> None:
    names = [family.name for family in figures()]
    assert sorted(uses()) == sorted(names)
    sections = book.sections("docs/reference/metrics.md")
    assert list(sections) == names
    for family in figures():
        assert family.documentation in sections[family.name]
        assert f", {family.type}" in sections[family.name]


def test_every_metric_that_a_page_names_exists(book: Book) -> None:
    known = {family.name for family in figures()}
    known |= {sample.name for family in figures() for sample in family.samples}
    for path, text in book.pages.items():
        for name in re.findall(r"\breconciler_\w+[a-z]\b", text):
            assert name in known or name.startswith("reconciler_shop"), f"{path.name}: {name}"


def test_every_kind_of_case_has_its_section_that_says_what_to_do(book: Book) -> None:
    sections = book.sections("docs/how-to/handle-a-case.md")
    assert list(sections) == [kind.value for kind in CaseKind]
    for text in sections.values():
        assert re.findall(r"\*\*([\w ]+)\.?\*\*", text) == ["Means", "Look at", "Do"]


def test_every_event_that_somebody_is_told_of_has_its_section_in_the_runbook(book: Book) -> None:
    every = book.sections("docs/how-to/runbook.md")
    sections = {name: text for name, text in every.items() if "." in name}
    told = sorted(["case.opened", *(name for name, kind in CATALOGUE.items() if kind.alert is not None)])
    assert sorted(sections) == told, "headings are what messages and alert rules link to: keep them"
    for name, text in sections.items():
        assert re.findall(r"^\*\*([\w ]+)\.?\*\*", text, re.MULTILINE) == ["Means", "Look at", "Do"], name
        page, _, fragment = anchor(name).partition("#")
        assert fragment in _anchors(book.text(page)), name


def test_what_a_message_about_a_case_points_at_is_there(book: Book) -> None:
    page = SECTION_OF.removeprefix("What to do: ")
    assert {kind.value for kind in CaseKind} <= _anchors(book.text(page))


def _keys(model: type[BaseModel], path: str) -> Iterator[str]:
    for key in model.model_fields:
        full = f"{path}.{key}" if path else key
        nested = tables_of(model).get(key)
        if nested is not None and issubclass(nested, BaseModel):
            yield from _keys(nested, full)
        else:
            yield full


def _all_keys() -> set[str]:
    common = set(ChannelSettings.model_fields) - {"endpoint"}
    channels = {f"channels.{key}" for key in common}
    own = {f"{kind}.{key}" for kind, model in SETTINGS.items() for key in set(model.model_fields) - common}
    return (set(_keys(Settings, "")) - {"channels"}) | channels | own


def test_every_setting_has_its_line_and_no_line_is_of_no_setting() -> None:
    assert set(lines()) == _all_keys()


def test_every_setting_is_in_its_table_on_the_page(book: Book) -> None:
    found = set()
    for heading, text in book.sections("docs/reference/settings.md").items():
        table = re.fullmatch(r"`\[([\w.]+)\]`", heading)
        kind = re.search(r'gateway = "(\w+)"', heading)
        path = table[1] if table else kind[1] if kind else "channels" if "channels" in heading else ""
        found |= {f"{path}.{key}".lstrip(".") for key in re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)}
    assert found == _all_keys()


def test_every_exit_code_is_in_the_table_and_no_other(book: Book) -> None:
    section = book.sections("docs/reference/commands.md")["Exit codes"]
    rows = re.findall(r"^\| (\d+) \| (\w+) \|", section, re.MULTILINE)
    assert {(int(code), name) for code, name in rows} == {(code.value, code.name) for code in Exit}
