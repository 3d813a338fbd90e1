"""The configuration: golden texts, agreement of the two sides, and nothing that a string could break out of."""

import re
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.engines.cases import CASES, EMPTY, PARAMETERS, REFERENCE, RELAYED, run
from twinlease.engines.isc.render import quoted, render
from twinlease.engines.protocol import engine
from twinlease.model.service import Pool, Reservation
from twinlease.model.states import Role

GOLDEN = Path(__file__).parent / "golden"
SYNTAX = re.compile(r'#[^\n]*\n|"[^"\\\n]*"|[A-Za-z0-9_.:-]+|[{};,]|\s+')


def tokens(text: str) -> list[str]:
    """Split as dhcpd does; fail on anything that is neither comment, string, word nor punctuation."""
    found, position = [], 0
    while position < len(text):
        match = SYNTAX.match(text, position)
        assert match is not None, text[position : position + 80]
        if not match[0].startswith("#") and not match[0].isspace():
            found.append(match[0])
        position = match.end()
    return found


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, role: Role) -> None:
    assert engine("ISC").render(CASES[case], role) == (GOLDEN / f"{case}.{role}.conf").read_text()


def test_no_golden_text_is_left_over() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"{case}.{role}.conf" for case in CASES for role in Role}


@pytest.mark.parametrize("case", CASES)
def test_the_two_sides_differ_only_in_what_is_their_own(case: str) -> None:
    primary, secondary = (set(render(CASES[case], role).splitlines()) for role in Role)
    own = re.compile(
        r"# dhcpd\.conf of .*|server-identifier .*|  (primary|secondary);|  (peer )?(address|port) .*|  (split|hba) .*"
        r"|  # Also on the secondary.*|subnet \S+ netmask 255\.255\.255\.255 \{"
    )
    assert [line for line in primary ^ secondary if not own.fullmatch(line)] == []


def test_the_order_of_objects_does_not_matter() -> None:
    turned = replace(RELAYED, pools=RELAYED.pools[::-1], reservations=RELAYED.reservations[::-1])
    assert render(turned, Role.PRIMARY) == render(RELAYED, Role.PRIMARY)
    reservations = REFERENCE.reservations[::-1]
    pools = (replace(REFERENCE.pools[0], ranges=REFERENCE.pools[0].ranges[::-1]),)
    turned = replace(REFERENCE, pools=pools, reservations=reservations)
    assert render(turned, Role.SECONDARY) == render(REFERENCE, Role.SECONDARY)


def test_ports_and_addresses_are_crossed() -> None:
    for role in Role:
        found = tokens(render(RELAYED, role))
        own, other = RELAYED.endpoints[role], RELAYED.endpoints[role.other]
        begin = found.index("failover")
        stanza = " ".join(found[begin : found.index("}", begin)])
        assert f"; address {own.failover_address} ; port {own.failover_port} ;" in stanza
        assert f"; peer address {other.failover_address} ; peer port {other.failover_port} ;" in stanza


@pytest.mark.parametrize("case", CASES)
def test_mclt_is_on_both_sides_and_shares_only_on_the_primary(case: str) -> None:
    primary, secondary = (tokens(render(CASES[case], role)) for role in Role)
    assert "mclt" in primary
    assert "mclt" in secondary
    assert {"split", "hba"} & set(primary)
    assert not {"split", "hba"} & set(secondary)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("case", CASES)
def test_what_must_never_appear(case: str, role: Role) -> None:
    dangerous = {"auto-partner-down", "dont-use-fsync", "infinite-is-reserved", "duplicates", "reserved"}
    assert not dangerous & set(tokens(render(CASES[case], role)))


def test_every_pool_with_addresses_belongs_to_the_peer_and_refuses_bootp() -> None:
    for role in Role:
        for pool in re.findall(r"^  pool \{\n.*?^  \}\n", render(REFERENCE, role), re.MULTILINE | re.DOTALL):
            assert 'failover peer "office";' in pool
            assert "deny dynamic bootp clients;" in pool


def test_the_placeholder_avoids_a_pool_of_the_users() -> None:
    doors = replace(RELAYED.pools[1], subnet=IPv4Network("240.0.0.0/29"))
    text = render(replace(EMPTY, pools=(doors,)), Role.PRIMARY)
    assert "subnet 240.0.0.8 netmask 255.255.255.252 {" in text
    assert "range 240.0.0.9;" in text


def test_a_server_inside_a_pool_needs_no_declaration_of_its_own() -> None:
    assert "netmask 255.255.255.255" not in render(REFERENCE, Role.PRIMARY)
    elsewhere = replace(REFERENCE.endpoints[Role.PRIMARY], serving=IPv4Interface("192.0.2.1/24"))
    moved = replace(REFERENCE, endpoints={**REFERENCE.endpoints, Role.PRIMARY: elsewhere})
    assert "subnet 192.0.2.1 netmask 255.255.255.255 {" in render(moved, Role.PRIMARY)


@pytest.mark.parametrize("parameters", [{"hba": bytes(32)}, {"split": None}, {"split": None, "hba": bytes(31)}])
def test_shares_must_be_given_once(parameters: dict[str, bytes | None]) -> None:
    with pytest.raises(ValueError, match="exactly one of split and hba"):
        render(replace(REFERENCE, failover=replace(PARAMETERS, **parameters)), Role.PRIMARY)


@given(st.text())
def test_a_string_never_leaves_its_quotes(text: str) -> None:
    try:
        constant = quoted(text)
    except ValueError:
        assert not text.isascii() or not text.isprintable() or '"' in text or "\\" in text
    else:
        assert tokens(constant) == [f'"{text}"']


nasty = st.one_of(
    st.text(max_size=20),
    st.text(alphabet='ab."\\\n{};#-\r\t', max_size=20),
    st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True),
)


@given(nasty, nasty, nasty, nasty, nasty, nasty)
def test_no_text_of_a_user_becomes_syntax(
    pair: str, pool: str, domain: str, search: str, name: str, hostname: str
) -> None:
    service = replace(
        REFERENCE,
        failover=replace(PARAMETERS, name=pair),
        pools=(replace(REFERENCE.pools[0], name=pool, domain_name=domain, domain_search=(search,)),),
        reservations=(replace(REFERENCE.reservations[0], name=name, hostname=hostname),),
    )
    try:
        found = tokens(render(service, Role.PRIMARY))
    except ValueError:
        return  # refused: fine as well
    strings = {f'"{text}"' for text in (pair, domain, search, hostname)}
    assert strings <= set(found)

    def shape(words: list[str]) -> list[str]:
        return [word for word in words if word[0] != '"' and not word.startswith("r-")]

    plain = replace(
        service,
        failover=PARAMETERS,
        pools=(replace(service.pools[0], name="p", domain_name="d", domain_search=("s",)),),
        reservations=(replace(service.reservations[0], name="n", hostname="h"),),
    )
    assert shape(found) == shape(tokens(render(plain, Role.PRIMARY)))


macs = st.binary(min_size=6, max_size=6)


@given(st.dictionaries(macs, st.text(max_size=12), min_size=2, max_size=6))
def test_names_of_hosts_never_clash(names: dict[bytes, str]) -> None:
    reservations = tuple(
        Reservation(name="".join(c for c in name if c.isascii() and c.isprintable()), hardware_address=mac.hex(":"),
                    address=IPv4Address(index))
        for index, (mac, name) in enumerate(names.items())
    )  # fmt: skip
    text = render(replace(REFERENCE, reservations=reservations), Role.PRIMARY)
    hosts = re.findall(r"^host ([a-z][a-z0-9-]*) \{$", text, re.MULTILINE)
    assert len(hosts) == len(set(hosts)) == len(reservations)


def test_a_broken_hardware_address_is_refused() -> None:
    wrong = replace(REFERENCE.reservations[0], hardware_address="02:00:5e:00:53")
    with pytest.raises(ValueError, match="six octets"):
        render(replace(REFERENCE, reservations=(wrong,)), Role.PRIMARY)


def test_a_hundred_thousand_reservations_render_in_seconds() -> None:
    reservations = tuple(
        Reservation(name=f"r{i}", hardware_address=i.to_bytes(6, "big").hex(":"), address=IPv4Address(0x0A000000 + i))
        for i in range(100_000)
    )
    pool = Pool(
        name="all",
        subnet=IPv4Network("10.0.0.0/8"),
        ranges=(run("10.200.0.0", "10.201.0.0"),),
        default_lease=60,
        minimum_lease=60,
        maximum_lease=60,
    )
    text = render(replace(REFERENCE, pools=(pool,), reservations=reservations), Role.PRIMARY)
    assert text.count("\nhost ") == 100_000
