"""The switches' rules for each fault."""

import pytest

from tests.lab.model import LAN_NAMESPACE, MANAGEMENT_NAMESPACE, NODES
from tests.lab.switch import Cut, rulesets

N1, N2, N3 = NODES


def rules(namespace: str, *cuts: Cut) -> dict[str, list[str]]:
    """Return the rules of each chain."""
    chains: dict[str, list[str]] = {}
    chain = ""
    for line in map(str.strip, rulesets(cuts)[namespace].splitlines()):
        if line.startswith("chain"):
            chain = line.split()[1]
            chains[chain] = []
        elif chain and not line.startswith(("type", "}")):
            chains[chain].append(line)
    return chains


def test_without_faults_nothing_is_dropped() -> None:
    for namespace in (MANAGEMENT_NAMESPACE, LAN_NAMESPACE):
        assert rules(namespace) == {"forward": [], "input": [], "output": []}


def test_a_script_replaces_the_rules_before_it_in_one_transaction() -> None:
    script = rulesets([])[LAN_NAMESPACE].splitlines()
    assert script[:3] == [
        "table bridge twinlease_lab",
        "delete table bridge twinlease_lab",
        "table bridge twinlease_lab {",
    ]


@pytest.mark.parametrize(
    ("direction", "chain", "match"), [("in", "output", 'oifname "n2"'), ("out", "input", 'iifname "n2"')]
)
def test_the_api_is_cut_where_the_switch_is_the_server(direction: str, chain: str, match: str) -> None:
    cut = Cut("n2", "api", direction)  # type: ignore[arg-type]
    found = rules(MANAGEMENT_NAMESPACE, cut)
    assert found.pop(chain) == [f"{match} drop"]
    assert not any(found.values())
    assert not any(rules(LAN_NAMESPACE, cut).values())


@pytest.mark.parametrize(("direction", "match"), [("in", 'oifname "n1"'), ("out", 'iifname "n1"')])
def test_the_lan_is_cut_at_the_nodes_own_port(direction: str, match: str) -> None:
    cut = Cut("n1", "lan", direction)  # type: ignore[arg-type]
    assert rules(LAN_NAMESPACE, cut)["forward"] == [f"{match} drop"]
    assert not any(rules(MANAGEMENT_NAMESPACE, cut).values())


@pytest.mark.parametrize("namespace", [MANAGEMENT_NAMESPACE, LAN_NAMESPACE])
def test_peers_are_cut_on_both_switches_and_dhcp_goes_first(namespace: str) -> None:
    found = rules(namespace, Cut("n1", "peer", "out"))["forward"]
    assert [line.split()[-1] for line in found] == ["accept", "accept", "drop"]
    assert "67, 68" in found[0]
    assert "67, 68" in found[1]
    drop = found[2]
    assert N1.lan_mac in drop.partition("oifname")[0]
    assert N2.lan_mac not in drop
    assert '"n2", "n3"' in drop.partition("oifname")[2]


def test_the_other_direction_drops_what_the_others_send() -> None:
    (drop,) = [line for line in rules(LAN_NAMESPACE, Cut("n1", "peer", "in"))["forward"] if line.endswith("drop")]
    senders, _, port = drop.partition("oifname")
    assert N2.lan_mac in senders
    assert N3.management_mac in senders
    assert N1.lan_mac not in senders
    assert port.split() == ["{", '"n1"', "}", "drop"]


def test_a_cut_lan_is_not_opened_by_the_exception_for_dhcp() -> None:
    found = rules(LAN_NAMESPACE, Cut("n1", "peer", "in"), Cut("n1", "lan", "in"))["forward"]
    assert found[0] == 'oifname "n1" drop'


def test_the_order_of_faults_does_not_matter() -> None:
    one, two = Cut("n1", "lan", "in"), Cut("n2", "api", "out")
    assert rulesets([one, two, one]) == rulesets([two, one])
