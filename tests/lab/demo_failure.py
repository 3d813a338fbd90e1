"""The second half of `make demo`: a node loses its power under load, and what becomes of the clients."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.lab.cluster import Lab
from tests.lab.crowd import Habit, Pace
from tests.lab.history import judge
from tests.lab.load import Load, Plan, lab_machines
from tests.lab.recorder import Recorder, lab_taps
from tests.lab.waiting import until

Json = dict[str, Any]

PAIR = "lan"
_VICTIM = "n2"
_LOAD = Plan(
    rate=2.0,
    alive=20,
    mix={Habit.STAY: 4, Habit.REBOOT: 2, Habit.VANISH: 1},
    pace=Pace(stay=(10.0, 40.0), away=(0.5, 2.0)),
)
_SHORT: Json = {
    "failover": {"mclt": "20s", "maxResponseDelay": "5s"},
    "partnerDown": {"after": "15s"},
    "servingLease": {"duration": "10s", "promise": "10s", "maxPromise": "30s", "aloneDuration": "1m"},
}
"""What takes minutes in earnest takes seconds here."""
_LEASE = {"default": "40s", "maximum": "40s"}
_BEFORE_SECONDS = 10.0
_ALONE_SECONDS = 25.0
_EVERY_SECONDS = 0.2


def hurried(example: Path, short: Mapping[str, Json] = _SHORT) -> str:
    """Return an example's objects with short timers, as JSON for kubectl."""
    documents: list[Json] = [each for each in yaml.safe_load_all(example.read_text(encoding="utf-8")) if each]
    for each in documents:
        if each["kind"] == "DHCPFailoverPair":
            for group, values in short.items():
                each["spec"][group] = {**each["spec"].get(group, {}), **values}
        elif each["kind"] == "DHCPPool":
            each["spec"]["leaseTime"] = dict(_LEASE)
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})


class Verdicts:
    """Prints what the operator says of partner-down, as it says it.

    Args:
        lab: The lab.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._began = time.monotonic()
        self._said = ""

    def note(self, text: str) -> None:
        """Print a line with the time since the beginning."""
        sys.stdout.write(f"  {time.monotonic() - self._began:5.1f} s  {text}\n")
        sys.stdout.flush()

    def look(self) -> Json:
        """Return the pair's status; print the verdict if it is another one."""
        status: Json = json.loads(self._lab.kubectl("get", "dfp", PAIR, "--output=json")).get("status", {})
        found: Json = next((each for each in status.get("conditions", ()) if each["type"] == "PartnerDown"), {})
        if found.get("reason", "") != self._said:
            self._said = found.get("reason", "")
            self.note(f"{self._said}: {found.get('message', '')}")
        return status

    def follow(self, what: str, happened: Callable[[Json], bool], timeout: float) -> None:
        """Print verdicts until something has happened."""
        until(what, lambda: happened(self.look()), timeout=timeout, every=_EVERY_SECONDS)

    def linger(self, seconds: float) -> None:
        """Print verdicts for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            time.sleep(_EVERY_SECONDS)


def fail_and_return(lab: Lab) -> bool:
    """Power a server's node off and on under load, print what happens, and tell whether no address had two owners."""
    sys.stdout.write(
        "\nTwenty clients on each side of the LAN come, renew, reboot and vanish. What the operator says:\n"
    )
    verdicts = Verdicts(lab)
    with Recorder(lab_taps()) as recorder, Load(lab_machines(), _LOAD) as load:
        verdicts.linger(_BEFORE_SECONDS)
        before = load.holders()
        verdicts.note(f"power off {_VICTIM}, {len(before)} addresses are leased")
        lab.faults.power_off(_VICTIM)
        verdicts.follow("a survivor is in partner-down", lambda status: bool(_partner_down(status)), 90)
        usable = json.loads(lab.kubectl("get", "dfp", PAIR, "--output=json"))["status"].get("takeover", {})
        verdicts.note(f"the peer's addresses may be used from {usable.get('addressesUsable', '?')} on")
        verdicts.linger(_ALONE_SECONDS)
        kept = _kept(before, load.holders())
        verdicts.note(f"{kept}; power on {_VICTIM}")
        lab.faults.power_on(_VICTIM)
        verdicts.follow("both are normal", lambda status: status.get("state") == "Normal", 180)
        verdicts.linger(_BEFORE_SECONDS)
        sys.stdout.write(f"\nThe clients: {load.summary()}\n")
        recording = recorder.stop()
    verdict = judge(recording.whole().observations)
    sys.stdout.write(f"\nEvery DHCP message on the wire, judged:\n{verdict.report()}\n")
    return not verdict.violations


def _partner_down(status: Json) -> Iterable[str]:
    return [each["name"] for each in status.get("servers", ()) if each.get("state") == "PartnerDown"]


def _kept(before: dict[str, list[str]], after: dict[str, list[str]]) -> str:
    """Return how many clients still have the address that they had, of those that are still there, and who is new."""
    owners = {client: address for address, clients in before.items() for client in clients}
    now = {client: address for address, clients in after.items() for client in clients}
    stayed = [client for client in owners if client in now]
    same = sum(owners[client] == now[client] for client in stayed)
    return f"{same} of {len(stayed)} clients kept their address, {len(now.keys() - owners.keys())} new ones got one"
