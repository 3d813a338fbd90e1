"""The example pair on a real cluster, from `kubectl apply` to leases, changes and restarts."""

import time

import pytest

from tests.e2e.world import EXAMPLE, OF_PAIR, PAIR, POOL, PRIMARY, SECONDARY, SERVING, World
from tests.lab.waiting import until

WARM_SECONDS = 30
CLIENTS = 50


def test_reaches_normal_within_half_a_minute_of_apply(example: World) -> None:
    assert example.both_normal()
    assert example.normal_after < WARM_SECONDS
    assert example.condition("dfp", PAIR, "Redundant")["status"] == "True"


def test_status_tells_what_the_servers_say(example: World) -> None:
    pair = example.get("dfp", PAIR)["status"]
    servers = {each["name"]: each for each in pair["servers"]}
    assert pair["state"] == "Normal"
    assert {name: each["address"].split("/")[0] for name, each in servers.items()} == SERVING
    assert {each["node"] for each in servers.values()} == {"n1", "n2"}
    until("the pool's addresses are counted", lambda: example.get("dpool", POOL)["status"].get("addresses") == 155,
          timeout=30)  # fmt: skip
    table = example.lab.kubectl("get", "dhcp", "--output=wide")
    assert all(word in table for word in (PAIR, PRIMARY, SECONDARY, "Normal", "n1", "n2", "10.250.0.0/24"))


def test_real_clients_get_different_addresses_from_both_servers(example: World) -> None:
    leases = example.lease_many(CLIENTS)
    assert len(leases) == CLIENTS
    assert len({each.address for each in leases}) == CLIENTS
    assert {each.server for each in leases} == set(SERVING.values())
    assert {each.program for each in leases} == {"udhcpc", "dhclient"}
    until("both lease databases are reported", lambda: example.get("dfp", PAIR)["status"].get("active", 0) >= CLIENTS,
          timeout=60, every=0.5)  # fmt: skip


def test_a_reservation_is_honoured_by_both(example: World) -> None:
    reservation = example.get("dres", "printer")["spec"]
    offers = example.offers(reservation["hardwareAddress"])
    assert set(offers) == set(SERVING.values())
    assert set(offers.values()) == {reservation["address"]}


def test_a_changed_pool_reaches_both_servers(example: World) -> None:
    before = {name: example.get("dsrv", name)["status"]["config"]["revision"] for name in SERVING}
    example.patch("dpool", POOL, {"leaseTime": {"default": "20m"}})
    example.wait("dpool", POOL, "Programmed")
    after = {name: example.get("dsrv", name)["status"]["config"]["revision"] for name in SERVING}
    assert all(after[name] != before[name] for name in SERVING)
    until("both are normal again", example.both_normal, timeout=30)
    # 20 min, by whichever server answers.
    seen: set[str] = set()
    for _ in range(12):
        lease = example.lease_one()
        assert lease.seconds == 1200
        seen.add(lease.server)
        if seen == set(SERVING.values()):
            return
    pytest.fail(f"only {seen} answered twelve clients")


def test_a_deleted_pod_comes_back_with_its_leases(example: World) -> None:
    lease = next(each for each in (example.lease_one() for _ in range(12)) if each.server == SERVING[SECONDARY])
    before = example.get("pod", SECONDARY)
    example.lab.kubectl("delete", "pod", SECONDARY)
    until(
        "another pod runs in its place",
        lambda: example.pod_uid(SECONDARY) not in ("", before["metadata"]["uid"]),
        timeout=60,
        every=0.2,
    )
    example.wait("dfp", PAIR, "Redundant", timeout=60)
    assert example.get("pod", SECONDARY)["spec"]["nodeName"] == before["spec"]["nodeName"]
    # With the partner off the LAN only the server that came back can answer, and only from what it remembers.
    example.lab.faults.cut("n1", "lan")
    try:
        again = example.lease_one(mac=lease.mac, client=1)
    finally:
        example.lab.faults.heal("n1", "lan")
    assert again.address == lease.address
    assert again.server == SERVING[SECONDARY]
    example.wait("dfp", PAIR, "Redundant", timeout=90)


def test_a_killed_sidecar_does_not_touch_the_daemon(example: World) -> None:
    started = example.get("dsrv", PRIMARY)["status"]["daemon"]["started"]
    before = example.restarts(PRIMARY)
    example.kill_in_pod(PRIMARY, "sidecar")
    until("the sidecar runs again", lambda: example.restarts(PRIMARY)["sidecar"] > before["sidecar"], timeout=60)
    time.sleep(1)  # it would have done its harm by now
    assert example.restarts(PRIMARY)["server"] == before["server"]
    assert example.get("dsrv", PRIMARY)["status"]["daemon"]["started"] == started
    assert example.both_normal()


def test_a_pair_that_is_deleted_and_applied_again_finds_its_leases(example: World) -> None:
    leases = [example.lease_one() for _ in range(4)]
    example.delete_example()
    claims = {each["metadata"]["name"] for each in example.every("pvc", selector=f"{OF_PAIR}={PAIR}")}
    assert claims == {f"{PRIMARY}-leases", f"{SECONDARY}-leases"}
    assert not example.offers(leases[0].mac)
    # Whoever ended last heard of the other's end: it comes back as survivor, and the other takes an MCLT to return.
    example.lab.kubectl("apply", "--filename", str(EXAMPLE))
    example.wait("dfp", PAIR, "Available", timeout=120)
    # New clients first: a server that had forgotten would give them the addresses of the old ones.
    strangers = {example.lease_one().address for _ in range(4)}
    assert strangers.isdisjoint({each.address for each in leases})
    assert [example.lease_one(mac=each.mac).address for each in leases] == [each.address for each in leases]
