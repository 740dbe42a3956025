"""The pages, and how to find things in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _pages() -> Iterator[Path]:
    yield from (ROOT / "README.md", ROOT / "README.zh-CN.md", ROOT / "CHANGELOG.md")
    yield from (path for path in sorted(DOCS.rglob("*.md")) if path.parent.name != "parts")


class Book:
    """README (in both languages), changelog and everything under docs/ but the parts of generated pages."""

    def __init__(self) -> None:
        self.pages: Mapping[Path, str] = {path: path.read_text() for path in _pages()}

    def text(self, name: str) -> str:
        return self.pages[ROOT / name]

    def prose(self, path: Path) -> str:
        """Give a page without its blocks of code."""
        return FENCE.sub("", self.pages[path])

    def blocks(self, path: Path, language: str) -> list[str]:
        return [body for kind, body in FENCE.findall(self.pages[path]) if kind == language]

    def sections(self, name: str, level: int = 2) -> Mapping[str, str]:
        """Give a page's sections by their headings."""
        parts = re.split(rf"^{'#' * level} (.+)$", self.prose(ROOT / name), flags=re.MULTILINE)
        return dict(zip(parts[1::2], parts[2::2], strict=True))
