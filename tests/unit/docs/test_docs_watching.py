"""Alert rules, dashboard, runbook and metrics name the same things."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from docs.generate import figures
from tests.unit.docs.book import ROOT, Book

RULES = (ROOT / "config" / "prometheus" / "alerts.yml").read_text()
DASHBOARD: Mapping[str, Any] = json.loads((ROOT / "config" / "grafana" / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RUNBOOK = "docs/how-to/runbook.md"
OTHERS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
"""Metrics that are not ours."""


def rules() -> Mapping[str, str]:
    """Give each rule's text by its name."""
    parts = re.split(r"^      - alert: (\w+)$", RULES, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def expressions() -> Iterator[str]:
    """Give every expression: of rules, panels and variables."""
    for text in rules().values():
        yield text.partition("labels:")[0]
    yield from (target["expr"] for panel in PANELS for target in panel["targets"])
    yield from (item["definition"] for item in DASHBOARD["templating"]["list"] if "definition" in item)


def test_each_rule_has_severity_summary_description_and_its_section_in_the_runbook(book: Book) -> None:
    sections = re.findall(r"^### (\w+)$", book.text(RUNBOOK), re.MULTILINE)
    assert sections == list(rules()), "one section each, in the rules' order"
    for name, text in rules().items():
        assert re.findall(r"^ +(\w+): ", text.partition("labels:")[2], re.MULTILINE) == [
            "severity",
            "summary",
            "description",
            "runbook_url",
        ]
        assert re.search(r"severity: (critical|warning)$", text, re.MULTILINE), name
        assert f"runbook_url: {RUNBOOK}#{name.lower()}\n" in text


def test_each_section_of_an_alert_says_what_it_means_what_to_look_at_and_what_to_do(book: Book) -> None:
    alerts = re.split(r"^### \w+$", book.text(RUNBOOK), flags=re.MULTILINE)[1:]
    for text in alerts:
        assert re.findall(r"^\*\*([\w ]+)\*\* ", text, re.MULTILINE) == ["Means", "Look at", "Do"], text


def test_rules_and_dashboard_ask_for_metrics_and_label_values_that_exist() -> None:
    families = {sample.name: family for family in figures() for sample in family.samples}
    named = 0
    for expression in expressions():
        for name, selector in re.findall(r"\b((?:reconciler|process)_\w+|up)\b(?:\{([^}]*)\})?", expression):
            named += 1
            assert name in families or name in OTHERS, expression
            for label, wanted in re.findall(r'(\w+)[=!]~?"([^"]*)"', selector):
                if label in {"job", "shop", "channel"}:
                    continue
                known = {sample.labels.get(label) for sample in families[name].samples if sample.name == name}
                assert set(wanted.split("|")) <= known, f"{label} in {expression}"
    assert named > 80


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_each_panel_says_what_it_shows_in_which_unit_and_names_its_series(panel: Mapping[str, Any]) -> None:
    assert len(panel["description"]) > 20
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["legendFormat"]
        assert target["datasource"]["uid"] == "${datasource}"
        assert 'shop="$shop"' in target["expr"]
    if panel["type"] == "timeseries":
        assert panel["options"]["legend"]["showLegend"]


def test_the_dashboard_is_one_grid_without_holes_or_overlaps() -> None:
    assert DASHBOARD["schemaVersion"] == 39
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    height = max(y for _, y in taken) + 1
    assert taken == {(x, y) for x in range(24) for y in range(height)}


def test_every_metric_is_used_by_a_rule_or_a_panel() -> None:
    text = " ".join(expressions())
    unused = {family.name for family in figures() if not re.search(rf"\b{family.name}(_total|_bucket)?\b", text)}
    assert unused == set()
