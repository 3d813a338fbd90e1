"""One server per node; a node belongs to who was placed there first."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlease.decide import placement
from twinlease.decide.placement import Action, Claim, Wish
from twinlease.model.states import Role

OWN = "ns/own"


def wish(role: Role = Role.PRIMARY, *, node: str = "", placed: str = "", created: str = "2026-02") -> Wish:
    selector = {} if node else {"dhcp": "yes"}
    return Wish(pair=OWN, role=role, created=created, node_name=node, node_selector=selector, placed=placed)


def claim(node: str, *, placed: bool = False, created: str = "2026-01", pair: str = "ns/other") -> Claim:
    return Claim(pair=pair, role=Role.PRIMARY, node=node, placed=placed, created=created)


PARTNER = wish(Role.SECONDARY, node="n2")


@pytest.mark.parametrize(
    ("own", "claims", "action", "node"),
    [
        (wish(node="n1"), [], Action.PLACE, "n1"),
        (wish(placed="n1"), [], Action.PLACE, "n1"),
        (wish(node="n1"), [claim("n3", placed=True)], Action.PLACE, "n1"),
        (wish(node="n1"), [claim("n1", placed=True, created="2026-09")], Action.REFUSE, ""),
        (wish(node="n1"), [claim("n1", created="2026-01")], Action.REFUSE, ""),
        (wish(node="n1"), [claim("n1", created="2026-09")], Action.PLACE, "n1"),
        (wish(node="n1", placed="n1"), [claim("n1", created="2026-01")], Action.PLACE, "n1"),
        (wish(node="n1"), [claim("n1", placed=True, pair=OWN)], Action.PLACE, "n1"),
        (wish(), [claim("n1", placed=True)], Action.PLACE, ""),
    ],
)
def test_who_gets_a_node(own: Wish, claims: list[Claim], action: Action, node: str) -> None:
    found = placement.place(own, PARTNER, claims)

    assert (found.decision.action, found.node) == (action, node)


def test_the_scheduler_avoids_nodes_that_are_somebodys() -> None:
    found = placement.place(wish(), PARTNER, [claim("n4"), claim("n3", placed=True)])

    assert found.selector == {"dhcp": "yes"}
    assert found.avoid == ("n2", "n3", "n4")


def test_a_refusal_names_field_node_and_owner() -> None:
    found = placement.place(wish(node="n1"), PARTNER, [claim("n1", placed=True)])

    assert found.problem is not None
    assert str(found.problem).startswith(
        "spec.primary.nodeName: 'n1' must be a node of its own: the primary of pair ns/other"
    )


WISHES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]), st.sampled_from(["n1", "n2"]), st.booleans(), st.sampled_from(["1", "2"])
    ),
    max_size=3,
    unique_by=lambda each: each[0],
)


@given(WISHES)
def test_of_all_that_wish_for_a_node_at_most_one_gets_it(wishes: list[tuple[str, str, bool, str]]) -> None:
    # At most one can be placed on a node already: hostPorts see to that.
    taken: set[str] = set()
    made = []
    for pair, node, is_placed, created in wishes:
        really = is_placed and node not in taken
        taken |= {node} if really else set()
        made.append(Wish(pair=pair, role=Role.PRIMARY, created=created, node_name=node, placed=node if really else ""))
    claims = [each.claim() for each in made]
    everybody = [each for each in claims if each is not None]

    got = [placement.place(each, PARTNER, everybody).node for each in made]

    for one, other in itertools.combinations([node for node in got if node], 2):
        assert one != other
    for each, node in zip(made, got, strict=True):
        assert not each.placed or node == each.placed
