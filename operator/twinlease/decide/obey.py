"""What a sidecar does about an order to enter partner-down. Pure.

An order is obeyed once: that it is being consumed is on the disk before anything is done about it, and whatever is
found half done after a crash is answered, never done again; but for one that found its server in partner-down already,
which only a start makes one to rely on.
"""

from enum import StrEnum

from msgspec import UNSET, Struct, UnsetType

from twinlease.api.servinglease import Answer, Answered, Evidence, Order
from twinlease.model.states import FailoverState

INTERRUPTED = frozenset({FailoverState.COMMUNICATIONS_INTERRUPTED, FailoverState.RESOLUTION_INTERRUPTED})
"""States in which a server knows its partner to be out of reach."""

RETURNING = frozenset({FailoverState.RECOVER, FailoverState.RECOVER_WAIT, FailoverState.RECOVER_DONE})
"""States on the way back, in which a server answers no dynamic client."""


MAY_BE_PROMISED = frozenset({Evidence.EXPIRED, Evidence.NO_HOLDER})
"""Evidence that says nothing of a partner that still answers on a promise."""


class Action(StrEnum):
    """What to do."""

    NOTHING = "Nothing"
    EXECUTE = "Execute"
    """Put the order's epoch on the disk as consumed; then enter partner-down; then answer."""
    ANSWER = "Answer"
    """Put the answer on the disk; then send it."""


class Obedience(Struct, frozen=True, kw_only=True):
    """The verdict; ``answer`` and ``reason`` only with ``ANSWER``."""

    action: Action = Action.NOTHING
    answer: Answer = Answer.UNKNOWN
    reason: str = ""


class Position(Struct, frozen=True, kw_only=True):
    """A server that may have an order.

    Attributes:
        order: As the API has it; unset: none.
        survivor: The serving lease names this server as the survivor.
        consumed: Epoch of the last order that was begun, by the disk.
        answered: The last answer, by the disk.
        known: The disk's record could be read and its lineage is verified.
        state: The daemon's own state as just asked, or by its lease database while it does not run; Unknown: it gives
            no answer.
        runs: The daemon's process exists.
        interruption: Number of its present interruption; 0: none.
        promising: A promise to the partner may still run.
        unextended: It was in partner-down before that order was begun, and is not seen to have been started anew since.
    """

    order: Order | UnsetType = UNSET
    survivor: bool = False
    consumed: int = 0
    answered: Answered = Answered()
    known: bool = True
    state: FailoverState = FailoverState.UNKNOWN
    runs: bool = True
    interruption: int = 0
    promising: bool = False
    unextended: bool = False


def obey(now: Position) -> Obedience:  # noqa: PLR0911  # one rule, one line
    """Return what to do about the order."""
    order = now.order
    if isinstance(order, UnsetType) or not now.survivor or now.answered.epoch >= order.epoch:
        return Obedience()
    if not now.known:
        return _answer(Answer.UNKNOWN, "LeaseDatabaseNotVerified")
    if now.state is FailoverState.PARTNER_DOWN:
        return _down(now, order)
    if now.runs and now.state in {FailoverState.UNKNOWN, FailoverState.STARTUP}:
        return Obedience()  # soon it will be known
    if now.consumed >= order.epoch:
        # Begun before a crash, and it did not come to its end. Who asks anew starts as whoever the operator says.
        return _answer(Answer.REFUSED, "Interrupted")
    if not now.runs:
        return Obedience()  # it asks for a grant, and that is the answer
    if now.state not in INTERRUPTED | RETURNING:
        return _answer(Answer.REFUSED, "InContact" if now.state is FailoverState.NORMAL else str(now.state))
    if now.interruption != order.interruption:
        return _answer(Answer.REFUSED, "AnotherInterruption")
    if now.promising and order.evidence in MAY_BE_PROMISED:
        return _answer(Answer.REFUSED, "PromiseRuns")
    return Obedience(action=Action.EXECUTE)


def _down(now: Position, order: Order) -> Obedience:
    """Return what to do about an order to a server that is in partner-down: its partner must stay away in any case."""
    if now.consumed >= order.epoch and not now.unextended:
        return _answer(Answer.EXECUTED, "PartnerDown")  # begun before a crash
    if not now.runs:
        return _answer(Answer.UNKNOWN, "PartnerDown")  # it asks for a grant, and its next start extends all there is
    if now.promising and order.evidence in MAY_BE_PROMISED:
        return Obedience()  # until then the partner may promise what no extension that is made now would cover
    # It may be there by somebody's hand, and nothing is extended then; or since an earlier order, and then what its
    # partner promised since is not. Nothing tells the one from the other.
    return Obedience(action=Action.EXECUTE)


def _answer(result: Answer, reason: str) -> Obedience:
    return Obedience(action=Action.ANSWER, answer=result, reason=reason)
