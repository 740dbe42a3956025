from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from reconciler.events import CATALOGUE, Event, Severity, event

MESSAGE_IDS = """
ba04cba33f7751779e820e46961f2b92 ages.learned
8817706fe58f5b7baed7922b922f721d alerts.delivered
b8d2392d92565da4b7e9e0a27a682c19 alerts.none
7683f50883a45e118f7fbb23592ab748 alerts.undelivered
f5a1f4663ac35b67b4dc8cf04cef3e64 case.approved
add5020f65365d0fb46703b0d76cd843 case.ended
d9d1a2875a5c5dcdb0010b29187ed545 case.more
a5f89e0d2fc053c2821a4b6fd6fe39ae case.opened
d10134b7103852d99d141c0a76d26f90 case.reopened
971ebc30b314540c9b66a02be712e2fc case.resolved
e1e7b54aa8d058079feccf929379996f case.snoozed
223d05ee8cac5aa5a59f4b11490d931b channel.at_full_rate
27ee9ba31d6250a291cea98e0dfa27b8 channel.available
ee392bb350d95d08b37513bffffc0025 channel.beyond_doubt
dd4c4ac837e95ed9b67b6d8fbd45997f channel.clock_off
529abb05e7a157a4b715ed4d23af0e68 channel.clock_right
61b081a869805f17b7c60f739b77c153 channel.in_doubt
a7dbfddacc975710bfb65fd279d5db7b channel.paused
e342a064396d563a80ee4edd48c3794f channel.paused_by_hand
7058dd32c48a5591baa3170e5b6a2485 channel.resumed
f6088d1af99f553e920bf2faa7b5c85b channel.resumed_by_hand
8c5c58bfcbb65e5ebebe279c4d86200c channel.throttled
042b72c8da39526dac3cf50fb1502d85 channel.unavailable
ab3b7d01a5665aad8a17c0f20a328170 channel.unconfigured
82b64a43c165551e911677dc4e25eb22 channel.unusual
09c9dc561a5151d3b91eb7347298efe8 channel.usual
40335fd4e4e25baab9514f9c3854ce91 config.refused
80aab39ba64f52e1b6a256773701925e config.reloaded
f1b99838383d5b48aabaa672dc7cf7f3 clock.set_back
22b8ba2f5f09510ea324a3fab212ade8 control.unavailable
bbbb298434555695a05b416f9b7af01d daemon.failed
7f34461b6f4b5357a0a363d9c7900006 daemon.started
8e121966836d5f7aa34097c0929d242c daemon.stopped
2d857ec824e459629dcf02991e9172ae heartbeat.failed
7fabde5805805e80beb256b5ba506518 heartbeat.restored
d90e92eb32b6573c9f867e6852e08566 http.unavailable
0bfb4ee0b4315c88a71a471569cd5874 lead.lost
bc860754b67053e2a53834ee537cefbf lead.overtaken
c2c6f37096355ba69839a5a505fcf56f lead.taken
0b0d3c017444569dbfa0c085d5d69082 lead.waiting
e4645b2c4ca4584d9b0abc1660fba3cb ledger.available
a1014113e15f55689b83cd2d1a0d7ab3 ledger.head
8df2fee5c5fc5e9694d15dbf7ef727f7 ledger.pruned
bad13a650f0252018371db7029486c26 ledger.unavailable
b206e3352e715fd29a6a218de94021d9 library.warning
cd98c0ad26405cada34db2168ce3c368 order.callback_won
dbdb420fb87559098bdc4b7e27e8381e order.closed
cd636aa55e865f558d2c272288913fb4 order.closed_at_gateway
8ddc935bb85058798bbdde581e54167d order.not_closed_at_gateway
c27907a1b691575495e6059b70bdb227 order.row_busy
67a42c9472fd5420a8fd36a3b6c9454e order.settled
6fa75c1341855223b24ddbcc44e116ed order.would_close
87d7ba34d3365f5f9b293cfe19443417 order.would_settle
5c413d6849835859b43bd9d831a8ed06 orders.unusual
59a7135e83a259d9ab7ddd1af35c0885 orders.usual
f38cc958e93f528984c414165f677e71 replica.available
158270354c765747bdfcd0ce0f86f434 replica.unavailable
06e7af5f1f455ea4b72f2ce55a083757 settle.blocked
7213d57bed595d469763ed1fd71fb429 settle.braked
6a2a761ab3cf5c16b7ee0b3e604f8dbc settle.paused
65ce56a2e2265d1897d5c44d72dd09bd settle.queue_over
e94dd64ef6195a8e84f3ab005784628b settle.queued
155660777cd058989890274714c80c77 settle.recovered
9bf656fba1945cec987fe2f421958985 settle.resumed
5d68ed77b3cc5b03b63134b76f50502a settle.unblocked
771929d14ff15c3da920016bec11cf24 shop.available
af406877b70c5c3c81364050bebd3a0c shop.unavailable
69c846f58adc55bcb648c3f66e452577 status.crowded
a328abd1deb75e06ae43d13ab36b6276 status.moving
b17e0851e1b05fba9469c1320ea49e22 status.stalled
c504ba1b479451dd97a6fe36a99e1769 summary
25cc6af9ef395be6868715c1881670ee turn.failed
0e3af3b5907b54f5b7032790b000d5f8 webhook.available
a0b5e0bc805d5d058efdca7097edf84b webhook.unavailable
"""
"""What journalctl finds lines by. A new event adds a line here; a line that is here stays."""

PINNED = {name: message_id for message_id, name in (line.split() for line in MESSAGE_IDS.strip().splitlines())}
NEVER_A_FIELD = re.compile(
    r"openid|buyer|payer|logon|user|phone|mobile|mail|address|ip$|password|passwd|secret|private|token|credential"
    r"|signature|(^|_)key($|_)|api_?key|cert|body|request|response|header|cookie|payload|evidence|url"
)
OUR_OWN = {("http.unavailable", "address")}
"""Fields that sound like a person's and are not: where we ourselves listen."""
DOTTED = re.compile(r"[a-z]+(\.[a-z]+(_[a-z]+)*)?")
EVENTS = [pytest.param(made, id=name) for name, made in CATALOGUE.items()]


def test_every_event_keeps_its_name_and_its_message_id() -> None:
    assert {name: made.message_id for name, made in CATALOGUE.items() if name in PINNED} == PINNED


def test_every_event_is_pinned() -> None:
    assert sorted(set(CATALOGUE) - set(PINNED)) == [], "new events: add their MESSAGE_IDs to this test"


def test_no_two_events_share_a_message_id() -> None:
    assert len({made.message_id for made in CATALOGUE.values()}) == len(CATALOGUE)


@pytest.mark.parametrize("made", EVENTS)
def test_an_event_is_named_in_lower_case_with_a_dot(made: type[Event]) -> None:
    assert DOTTED.fullmatch(made.name)
    assert re.fullmatch("[0-9a-f]{32}", made.message_id)
    assert CATALOGUE[made.name] is made
    assert isinstance(made.severity, Severity)


@pytest.mark.parametrize("made", EVENTS)
def test_an_event_says_what_it_means_and_what_to_do(made: type[Event]) -> None:
    for text in (made.meaning, made.advice):
        assert re.fullmatch(r"([A-Z`]|systemd ).*\.", text), text
        assert "  " not in text


@pytest.mark.parametrize("made", EVENTS)
def test_no_field_of_an_event_is_for_personal_data_or_a_secret(made: type[Event]) -> None:
    names = [field.name for field in dataclasses.fields(made)]  # type: ignore[arg-type] # every event is a dataclass
    assert [name for name in names if NEVER_A_FIELD.search(name) and (made.name, name) not in OUR_OWN] == []
    assert all(name.isidentifier() and name == name.lower() for name in names)


@pytest.mark.parametrize("name", ["buyer_logon_id", "openid", "private_key", "app_auth_token", "client_ip", "email"])
def test_fields_that_are_refused_are_known(name: str) -> None:
    assert NEVER_A_FIELD.search(name)


@pytest.mark.parametrize("made", EVENTS)
def test_an_events_fields_do_not_hide_what_every_line_has(made: type[Event]) -> None:
    reserved = {"name", "severity", "message_id", "meaning", "advice", "priority", "time", "timestamp", "event"}
    assert reserved.isdisjoint(field.name for field in dataclasses.fields(made))  # type: ignore[arg-type] # the same


def test_two_events_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two events named summary"):
        event("summary", Severity.INFO, meaning="Another.", advice="Nothing.")(type("Twin", (Event,), {}))


def test_a_line_leaves_out_what_is_empty_and_keeps_what_is_nothing() -> None:
    held = CATALOGUE["lead.taken"](epoch=0, waited=None)  # type: ignore[call-arg] # the event's own fields
    assert held.fields() == {"epoch": 0}


SOURCES = "\n".join(
    path.read_text()
    for path in sorted((Path(__file__).parents[3] / "reconciler").rglob("*.py"))
    if path.parent.name not in {"events", "testing"}
)


@pytest.mark.parametrize("made", EVENTS)
def test_every_event_is_emitted_somewhere(made: type[Event]) -> None:
    assert re.search(rf"\b{made.__name__}\(\s*(\w+=|\*)", SOURCES), "nothing emits it"
