"""reconciler.service under a real systemd, installed as the page says."""

from __future__ import annotations

import json
import time

import pytest

from reconciler.events.orders import OrderSettled
from tests.system.installation import CONFIGURATION, CREDENTIALS, PROJECT, Installation
from tests.system.service import SOCKET, Service
from tests.system.shop import PAID, PENDING, Shop

# The first test that runs waits for the machine: Debian is unpacked and booted, the program installed.
pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

STOPS_WITHIN_S = 10
SECOND = """
[ledger]
url = "sqlite:////var/lib/reconciler-second/ledger.db"
[control]
socket = "/run/reconciler-second/control.sock"
[http]
listen = "127.0.0.1:9471"
"""
SECOND_DROP_IN = """
[Service]
LoadCredential=second-alipay-app-key:/etc/reconciler/credentials/second-alipay-app-key
LoadCredential=second-alipay-public-key:/etc/reconciler/credentials/second-alipay-public-key
ReadWritePaths=/srv/second/data
SupplementaryGroups=shop
"""
SECOND_PID = "systemctl show reconciler@second --property=MainPID --value"
HANG = "/etc/reconciler/hang"
PLANTED = f"""
import asyncio, os, time

sleep, started = asyncio.sleep, time.time()


async def hang_on_purpose(*given):
    if os.path.exists({HANG!r}) and os.stat({HANG!r}).st_mtime > started:
        time.sleep(3600)  # holds up the loop, whichever that is
    return await sleep(*given)


asyncio.sleep = hang_on_purpose
"""


def test_the_documented_steps_end_with_a_service_that_is_well(installation: Installation) -> None:
    said = installation.said

    assert "sound" in said["reconciler config check"]
    assert "active (running)" in said["systemctl status reconciler"]
    assert "mode observe" in said["systemctl status reconciler"]
    assert "mode observe, answering" in said["reconciler status"]
    journal = said["journalctl -u reconciler -n 50"]
    assert journal.index("daemon.started") < journal.index("lead.taken")
    assert "ready" in said["curl -s http://127.0.0.1:9470/readyz"]


def test_it_starts_to_ready_under_all_of_its_hardening(service: Service) -> None:
    status = service.machine.run(f"cat /proc/{service.pid}/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    into = f"nsenter --target={service.pid} --mount --root --wd -- /bin/sh -c"

    assert service.shows("ActiveState") == "active"
    assert (fields["NoNewPrivs"], fields["Seccomp"], int(fields["CapBnd"], 16), int(fields["CapEff"], 16)) == (
        *("1", "2"),
        *(0, 0),
    )
    assert "0" not in fields["Uid"].split()
    for path in ("/etc/reconciler/x", "/opt/reconciler/x", "/usr/x"):
        assert "Read-only file system" in service.machine.run(f"{into} 'touch {path}' 2>&1", check=False), path
    assert service.machine.run(f"{into} 'touch /var/lib/reconciler/x && rm /var/lib/reconciler/x'") == ""


def test_systemd_has_no_complaint_about_the_unit(service: Service) -> None:
    complaints = service.machine.run("journalctl -q -o cat -b _PID=1 -p warning --grep reconciler", check=False)

    assert complaints == ""


def test_it_settles_the_orders_of_a_sandbox(service: Service) -> None:
    for number in ("S1", "S2"):
        service.shop.paid_order(number)
    service.shop.trade("S3", script="unpaid")
    service.shop.order("S3")

    for number in ("S1", "S2"):
        assert service.until("order.settled", f"ORDER_NO={number}")["CHANNEL"] == "alipay-main"
    assert [service.shop.status(number) for number in ("S1", "S2", "S3")] == [PAID, PAID, PENDING]


def test_it_feeds_a_watchdog_that_would_kill_it_within_two_seconds(service: Service) -> None:
    service.drop_in("WatchdogSec=2")
    service.restart()
    pid = service.pid

    service.shop.trade("W1", script="paid_later", after_s=7)
    service.shop.order("W1")
    service.until("order.settled", "ORDER_NO=W1")

    assert (service.pid, service.shows("NRestarts")) == (pid, "0")
    assert service.shows("WatchdogUSec") == "2s"


def test_a_hung_loop_is_killed_says_where_it_hung_and_comes_back(service: Service) -> None:
    service.machine.write("/opt/planted/sitecustomize.py", PLANTED)
    service.drop_in("WatchdogSec=2", "RestartSec=1", "Environment=PYTHONPATH=/opt/planted")
    service.restart()
    hung = service.pid

    killed = service.machine.now()
    service.machine.run(f"touch {HANG}")
    service.machine.until("UNIT=reconciler.service", "--grep='Watchdog timeout'", since=killed)
    back = service.machine.until("-u reconciler", "EVENT=lead.taken", since=killed)
    service.shop.paid_order("H1")
    service.until("order.settled", "ORDER_NO=H1")

    where = [str(entry["MESSAGE"]) for entry in service.entries(f"_PID={hung}", "_TRANSPORT=stdout")]
    assert any("hang_on_purpose" in line for line in where), where
    assert (service.shows("NRestarts"), int(back["_PID"])) == ("1", service.pid)


def test_a_reload_takes_a_changed_configuration_without_a_restart(service: Service) -> None:
    service.configure("observe")
    service.restart()
    pid = service.pid
    service.shop.paid_order("R1")
    service.until("order.would_settle", "ORDER_NO=R1")

    service.configure("enforce")
    service.machine.run("systemctl reload reconciler")
    service.until("config.reloaded", "MODE=enforce")
    service.shop.paid_order("R2")
    service.until("order.settled", "ORDER_NO=R2")

    assert service.pid == pid
    assert service.shows("StatusText").startswith("mode enforce")
    assert service.command("status")["daemon"]["mode"] == "enforce"


def test_a_broken_configuration_is_refused_on_reload_and_the_old_one_goes_on(service: Service) -> None:
    pid = service.pid
    service.configure("enforce", more='[audit]\nrate = "fast"\n')
    service.machine.run("systemctl reload reconciler")

    refused = service.until("config.refused")
    service.shop.paid_order("B1")
    service.until("order.settled", "ORDER_NO=B1")

    assert (refused["CONFIG"], "audit.rate" in refused["PROBLEM"]) == (CONFIGURATION, True)
    assert (service.pid, service.shows("ActiveState")) == (pid, "active")
    said = service.shows("StatusText")
    assert (said.startswith("mode enforce"), said.endswith("; the last reload was refused")) == (True, True)


def test_a_broken_configuration_at_start_is_for_a_person_and_not_tried_again(service: Service) -> None:
    service.machine.run("systemctl stop reconciler")
    service.configure("nonsense")

    service.machine.run("systemctl start reconciler", check=False)

    assert service.shows("ActiveState") == "failed"
    assert (service.shows("ExecMainStatus"), service.shows("NRestarts")) == ("2", "0")
    assert any("At mode:" in str(entry["MESSAGE"]) for entry in service.entries("-p info"))


def test_a_changed_credential_is_taken_by_a_restart(service: Service) -> None:
    service.machine.write(f"{CREDENTIALS}/alipay-app-key", another_key(service), mode=0o600)
    service.restart()
    service.shop.paid_order("C1")
    service.until("channel.paused", "CHANNEL=alipay-main")
    assert service.shop.status("C1") == PENDING

    service.shop.restore_secrets()
    service.restart()

    service.until("order.settled", "ORDER_NO=C1")


def another_key(service: Service) -> str:
    """Give a sound key that Alipay does not know: WeChat Pay's, which the sandbox has made too."""
    return service.machine.run(f"cat {service.shop.directory}/keys/wechat-merchant-key.pem")


def test_it_stops_within_ten_seconds_while_a_gateway_hangs(service: Service) -> None:
    service.shop.gateway("hang")
    service.shop.paid_order("T1")
    service.until("channel.unavailable")
    began = time.monotonic()

    service.machine.run("systemctl stop reconciler")

    assert time.monotonic() - began < STOPS_WITHIN_S
    assert (service.shows("Result"), service.shows("ExecMainStatus")) == ("success", "0")
    service.until("daemon.stopped")
    service.machine.run("test -f /var/lib/reconciler/ledger.db; test ! -e /run/reconciler")


def test_operator_commands_reach_it_as_root(service: Service) -> None:
    service.machine.run("reconciler pause --settling")
    paused = service.until("settle.paused")
    service.shop.paid_order("O1")
    found = service.command("ask O1")
    assert service.shop.status("O1") == PENDING
    service.machine.run("reconciler resume --settling")
    service.until("order.settled", "ORDER_NO=O1")

    assert "root (uid 0, pid " in paused["BY"]
    assert found
    assert service.command("status")["daemon"]["leading"] is True


def test_the_control_socket_is_shut_to_everybody_else(service: Service) -> None:
    pause = f"curl --silent --show-error --fail --unix-socket {SOCKET} --data @- http://localhost/v1/pause"
    words = '{"settling": true, "channels": []}'

    refused = service.machine.run(f"runuser -u shop -- {pause}", stdin=words, check=False)
    taken = service.machine.run(pause, stdin=words)

    assert "Couldn't connect" in refused or "Failed to connect" in refused
    assert "settling" in taken
    assert len(service.entries("EVENT=settle.paused")) == 1


def test_the_journal_finds_the_lines_of_an_order(service: Service) -> None:
    for number in ("J1", "J2"):
        service.shop.paid_order(number)
        service.until("order.settled", f"ORDER_NO={number}")

    said = service.machine.run(f"journalctl -q -o cat --since={service.since} ORDER_NO=J1")

    assert "order.settled" in said
    assert "order_no=J1" in said
    assert "J2" not in said


def test_the_journal_explains_a_line(service: Service) -> None:
    service.shop.paid_order("X1")
    service.until("order.settled", "ORDER_NO=X1")

    said = service.machine.run(f"journalctl -q -x -o short --since={service.since} EVENT=order.settled")

    assert f"What to do: {OrderSettled.advice.split('.')[0]}" in said
    assert "reconciler explain X1" in said


def test_the_template_serves_a_second_shop_beside_the_first(service: Service) -> None:
    machine, second = service.machine, Shop(service.machine, "/srv/second/data", 8102, "second-shop")
    second.open()
    second.restore_secrets("second-")
    machine.write("/etc/reconciler/second.toml", second.configuration("enforce", "second-", more=SECOND))
    machine.run(f"install -m 0644 {PROJECT}/reconciler@.service /etc/systemd/system/")
    machine.write("/etc/systemd/system/reconciler@second.service.d/override.conf", SECOND_DROP_IN)
    machine.run("systemctl daemon-reload; systemctl start reconciler@second")

    for shop, unit in ((service.shop, "reconciler"), (second, "reconciler@second")):
        shop.paid_order("N1")
        machine.until(f"-u {unit}", "EVENT=order.settled", "ORDER_NO=N1", since=service.since)
    leads = json.loads(machine.run("reconciler status --config /etc/reconciler/second.toml --json"))["daemon"]
    pid = machine.run(SECOND_PID).strip()
    machine.run("systemctl stop reconciler@second second-shop")

    assert leads["who"].endswith(f":{pid}")
    assert service.command("status")["daemon"]["leading"] is True
