"""Where servers run: one server per node, and each stays where it once was, for its leases live there.

The rule in one line: **a node belongs to the server that was placed there first; of two that only wish for it, to the
older pair's.**
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from msgspec import Struct

from twinlease.model.decision import Decision, Problem
from twinlease.model.states import Role


class Action(StrEnum):
    """What becomes of a server's pod."""

    PLACE = "Place"
    REFUSE = "Refuse"


class Claim(Struct, frozen=True, kw_only=True):
    """A server's claim to a node.

    Attributes:
        pair: Namespace and name of its pair, ``namespace/name``.
        node: The node.
        placed: The server has been placed there; otherwise its pair's spec names the node.
        created: Creation time of the pair, RFC 3339.
    """

    pair: str
    role: Role
    node: str
    placed: bool
    created: str

    @property
    def rank(self) -> tuple[bool, str, str]:
        """Claims with a lower rank win."""
        return (not self.placed, self.created, self.pair)


class Wish(Struct, frozen=True, kw_only=True):
    """Where one server of our pair shall run.

    Attributes:
        node_name: The node that the spec names; empty if it selects by labels.
        node_selector: The labels if not.
        placed: The node where the server has been placed; empty: not yet.
    """

    pair: str
    role: Role
    created: str
    node_name: str = ""
    node_selector: Mapping[str, str] = {}
    placed: str = ""

    @property
    def node(self) -> str:
        """The node if it is known."""
        return self.placed or self.node_name

    def claim(self) -> Claim | None:
        """Return the claim that this makes to a node, if any."""
        if not self.node:
            return None
        return Claim(pair=self.pair, role=self.role, node=self.node, placed=bool(self.placed), created=self.created)


class Placement(Struct, frozen=True, kw_only=True):
    """What a pod's scheduling constraints are made from.

    Attributes:
        node: Pinned to this node; empty: the scheduler chooses by ``selector``.
        avoid: Nodes that the scheduler must not choose, sorted.
    """

    decision: Decision
    node: str = ""
    selector: Mapping[str, str] = {}
    avoid: tuple[str, ...] = ()
    problem: Problem | None = None


def place(wish: Wish, partner: Wish, claims: Iterable[Claim]) -> Placement:
    """Decide where a server may run.

    Args:
        wish: The server's.
        partner: Its partner's.
        claims: Of all other pairs' servers that the operator knows; claims of ``wish.pair`` are ignored.
    """
    others = sorted((claim for claim in claims if claim.pair != wish.pair), key=lambda claim: claim.rank)
    if not wish.node:
        avoid = {claim.node for claim in others} | ({partner.node} if partner.node else set())
        return Placement(
            decision=Decision(
                action=Action.PLACE, reason="Scheduling", message=f"The scheduler chooses a node for the {wish.role}"
            ),
            selector=wish.node_selector,
            avoid=tuple(sorted(avoid)),
        )
    own = wish.claim()
    for claim in others:
        if own is not None and claim.node == wish.node and claim.rank < own.rank:
            return _refused(wish, claim)
    return Placement(
        decision=Decision(
            action=Action.PLACE,
            reason="Placed",
            message=f"The {wish.role} runs on node {wish.node}, where its leases are",
        ),
        node=wish.node,
    )


def _refused(wish: Wish, claim: Claim) -> Placement:
    problem = Problem(
        path=f"spec.{wish.role}.nodeName",
        value=wish.node,
        allowed=f"be a node of its own: the {claim.role} of pair {claim.pair} runs there, and port 67 is one",
    )
    return Placement(decision=Decision(action=Action.REFUSE, reason="NodeTaken", message=str(problem)), problem=problem)
