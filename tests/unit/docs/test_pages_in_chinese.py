"""README and runbook are in Chinese, too, and say the same: commands, log lines, links and sections keep in step."""

from __future__ import annotations

import re

import pytest

from tests.unit.docs.book import FENCE, ROOT, Book

README, RUNBOOK = "README.md", "docs/how-to/runbook.md"
PAGES = (README, RUNBOOK)
HEADING = re.compile(r"^#{2,6} .+$", re.MULTILINE)


def _chinese(name: str) -> str:
    return f"{name.removesuffix('.md')}.zh-CN.md"


def _blocks(book: Book, name: str) -> list[tuple[str, str]]:
    """Give the blocks of code: of commands without their comments, which are for the reader's own language."""
    return [
        (kind, re.sub(r" +# .*$", "", body, flags=re.MULTILINE) if kind == "sh" else body)
        for kind, body in FENCE.findall(book.text(name))
    ]


def _links(book: Book, name: str) -> list[str]:
    """Give where the page leads to, as the English page has it: each leads to what is in its own language."""
    first, *links = re.findall(r"\]\(([^)]+)\)", book.text(name))
    assert ".zh-CN." in first or ".zh-CN." in name, "the other language comes first"
    return [link.replace(".zh-CN.md", ".md") for link in links]


def _inline(text: str) -> list[str]:
    return sorted(" ".join(code.split()) for code in re.findall(r"`([^`]+)`", FENCE.sub("", text)))


@pytest.mark.parametrize("name", PAGES)
def test_commands_and_output_are_the_same(book: Book, name: str) -> None:
    assert _blocks(book, _chinese(name)) == _blocks(book, name)
    assert _blocks(book, name)


@pytest.mark.parametrize("name", PAGES)
def test_they_lead_to_the_same_pages_in_the_same_order(book: Book, name: str) -> None:
    assert _links(book, _chinese(name)) == _links(book, name)


@pytest.mark.parametrize("name", PAGES)
def test_each_leads_to_the_other(book: Book, name: str) -> None:
    english, chinese = (name.rpartition("/")[2], _chinese(name).rpartition("/")[2])
    assert f"]({chinese})" in "".join(book.text(name).splitlines()[:4])
    assert f"]({english})" in "".join(book.text(_chinese(name)).splitlines()[:4])


def test_the_chinese_page_leads_to_the_chinese_page_where_there_is_one(book: Book) -> None:
    assert f"]({_chinese(RUNBOOK)})" in book.text(_chinese(README))
    assert f"]({RUNBOOK})" not in book.text(_chinese(README))


def test_the_readmes_name_the_same_commands_and_settings(book: Book) -> None:
    named = {
        name: set(re.findall(r"`(reconciler [a-z ]+|\[\w+\]|[a-z]+\.[a-z]+)`", book.prose(ROOT / name)))
        for name in (README, _chinese(README))
    }
    assert named[_chinese(README)] == named[README]
    assert "reconciler doctor" in named[README]


def test_the_readmes_have_as_many_sections_and_promises(book: Book) -> None:
    shape = {
        name: re.findall(r"^(##|\d\. |- )", book.prose(ROOT / name), re.MULTILINE)
        for name in (README, _chinese(README))
    }
    assert shape[_chinese(README)] == shape[README]


def test_the_runbooks_have_the_same_sections_in_the_same_order_and_each_the_same_names_in_it(book: Book) -> None:
    english, chinese = book.text(RUNBOOK), book.text(_chinese(RUNBOOK))
    headings = HEADING.findall(english)
    assert HEADING.findall(chinese) == headings, "messages and alert rules link to them by these names"
    assert "## case.opened" in headings
    for heading, ours, theirs in zip(
        ["(the beginning)", *headings], HEADING.split(english), HEADING.split(chinese), strict=True
    ):
        assert _inline(theirs) == _inline(ours), heading


def test_each_section_of_the_chinese_runbook_says_what_it_means_what_to_look_at_and_what_to_do(book: Book) -> None:
    for text in HEADING.split(book.text(_chinese(RUNBOOK)))[1:]:
        if "**" in text:
            assert re.findall(r"^\*\*(\w+)\*\*", text, re.MULTILINE) == ["含义", "查看", "处理"], text
