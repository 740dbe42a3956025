from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

from reconciler.settings import ChannelSettings, ConfigurationError, Settings, as_toml, parse
from reconciler.settings.load import check
from reconciler.settings.preset import names, preset, text_of, with_preset
from reconciler.settings.problems import Problem

ROOT = Path(__file__).parents[3]
CHANNEL = """
[channels.apple]
gateway = "apple"
app_id = "1"
private_key = "env:APPLE_KEY"
"""
Gateways = Mapping[str, type[ChannelSettings]]


def configured(name: str, gateways: Gateways, more: str = "") -> Settings:
    return parse(f'[shop]\nurl = "mysql://r@127.0.0.1/shop"\npreset = "{name}"\n{more}{CHANNEL}', gateways)


def faults(name: str, gateways: Gateways, more: str = "") -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        configured(name, gateways, more)
    return [str(problem) for problem in caught.value.problems]


def test_there_are_the_five_that_the_documentation_names() -> None:
    assert names() == ("acg-faka", "dujiaoka", "litemall", "mall", "yudao")


def test_a_wheel_holds_them_all() -> None:
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"reconciler/shops/presets/{name}.toml" for name in names()} <= packed
    assert "reconciler/shops/presets/__init__.py" in packed


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("name", names())
class TestEveryPreset:
    def test_a_preset_and_a_channel_are_a_whole_configuration(self, name: str, gateways: Gateways) -> None:
        settings = configured(name, gateways)
        assert settings.shop.orders.states.pending

    def test_it_maps_the_shop_and_sets_neither_mode_nor_settle_nor_anything_else(self, name: str) -> None:
        tables = preset(name)
        assert set(tables) == {"shop"}
        shop = tables["shop"]
        assert isinstance(shop, dict)
        assert set(shop) <= {"time_zone", "orders", "attempts"}, "whose database it is is the file's business"

    def test_its_settle_and_ask_lines_are_for_copying_and_can_be_copied(self, name: str, gateways: Gateways) -> None:
        lines = re.findall(r"^#       (.*)$", text_of(name), re.MULTILINE)
        copied = [line for line in lines if not line.startswith("ALTER TABLE")]
        assert any(line.startswith("[settle]") for line in copied)
        for block in re.split(r"(?m)^(?=\[)", "\n".join(copied)):
            if block.strip() and not block.startswith("[settle.webhook]"):
                webhook = '[settle.webhook]\nurl = "https://x.example/"\nsecret = "env:APPLE_KEY"\n'
                configured(name, gateways, block + ("\n" + webhook if '"webhook"' in block else "\n"))
                assert tomllib.loads(block)

    def test_its_header_says_what_an_update_does(self, name: str) -> None:
        header = text_of(name).partition("\n[")[0]
        assert f'shop.preset = "{name}"' in header
        assert "BY UPDATE" in header
        assert all(line.startswith("#") for line in header.strip().splitlines())

    def test_showing_it_says_which_values_are_the_presets_and_loads_to_the_same(
        self, name: str, gateways: Gateways
    ) -> None:
        settings = configured(name, gateways, '[shop.orders]\ntable = "elsewhere"\n')
        shown = as_toml(settings)
        assert parse(shown, gateways) == settings
        assert 'table = "elsewhere"\n' in shown
        assert f'key = "id"  # preset {name}\n' in shown
        assert f'preset = "{name}"\n' in shown
        assert f'mode = "observe"  # preset {name}' not in shown


def test_the_files_own_keys_win_key_by_key(gateways: Gateways, credentials: Path) -> None:
    orders = configured("acg-faka", gateways, '[shop.orders]\ntable = "qq_order"\n').shop.orders
    assert (orders.table, orders.key, orders.order_no) == ("qq_order", "id", "trade_no")


def test_lists_and_states_are_replaced_not_joined(gateways: Gateways, credentials: Path) -> None:
    own = "[shop.orders]\ntouch = []\n[shop.orders.states]\nclosed = [102]\nclosed_as = 102\n"
    orders = configured("litemall", gateways, own).shop.orders
    assert orders.touch == ()
    assert (orders.states.closed, orders.states.paid) == ((102,), (201, 202, 301, 401, 402))


def test_columns_to_set_are_joined(gateways: Gateways, credentials: Path) -> None:
    orders = configured("yudao", gateways, '[shop.orders.set]\nupdater = "reconciler"\n').shop.orders
    assert orders.set == {"no": "{out_trade_no}", "updater": "reconciler"}


def test_what_the_file_overrides_must_still_hold_together(gateways: Gateways, credentials: Path) -> None:
    (fault,) = faults("mall", gateways, "[shop.orders.states]\npaid = [2]\n")
    assert fault.startswith("At shop.orders.states.settled_as: must be one of paid")


def test_an_unknown_preset_is_told_which_exist_and_which_was_meant(gateways: Gateways, credentials: Path) -> None:
    (fault,) = faults("dujaoka", gateways)
    assert fault == (
        'At shop.preset: names no preset that exists; did you mean "dujiaoka"? '
        '(there are: "acg-faka", "dujiaoka", "litemall", "mall", "yudao"); or leave it out, and map all'
    )


def test_an_unknown_preset_hides_no_other_fault(gateways: Gateways, credentials: Path) -> None:
    found = faults("qqqqqq", gateways, "[find]\nevery = 3\n")
    assert [fault.partition(":")[0] for fault in found] == ["At find.every", "At shop.orders", "At shop.preset"]
    found = faults("dujaoka", gateways, "[shop.orders]\nkay = 3\n")
    assert [fault.partition(":")[0] for fault in found] == ["At shop.orders.kay", "At shop.preset"]


@pytest.mark.parametrize("name", ["../presets/mall", "mall.toml", "MALL", "__init__", "."])
def test_a_preset_is_a_name_and_never_a_path(name: str) -> None:
    assert isinstance(with_preset({"shop": {"preset": name}})[1][0], Problem)
    with pytest.raises(KeyError):
        text_of(name)


@pytest.mark.parametrize("raw", [{}, {"shop": 3}, {"shop": {}}, {"shop": {"preset": 3}}, {"shop": {"preset": []}}])
def test_what_names_no_preset_is_left_as_it_is(raw: Mapping[str, object]) -> None:
    assert with_preset(raw) == (raw, ())


def under(path: Path) -> Mapping[str, str]:
    parts = re.split(r"(?m)^## (.+)$", path.read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("name", names())
def test_the_page_has_a_section_for_it_whose_lines_can_be_copied(name: str, gateways: Gateways) -> None:
    section = under(ROOT / "docs" / "how-to" / "presets.md")[name]
    blocks = re.findall(r"(?ms)^ *```toml\n(.*?)^ *```$", section)
    for block in blocks:
        raw = {"shop": {}, **tomllib.loads(dedent(block))}
        raw["shop"] |= {"url": "mysql://r@127.0.0.1/shop", "preset": name}
        assert check({**raw, **tomllib.loads(CHANNEL)}, gateways).shop.preset == name
    assert blocks or name == "yudao"
    shop: Any = preset(name)["shop"]
    assert all(f"`{shop[part]['table']}`" in section for part in ("orders", "attempts") if part in shop)
