"""What a human confirms about a pair's service, by annotation: always with a name and the present epoch."""

from collections.abc import Iterator

from msgspec import Struct

from twinlease.api.servinglease import DatabaseVerdict
from twinlease.controller.manifests.common import server_name
from twinlease.controller.objects import Meta
from twinlease.decide.pairview import View
from twinlease.model.states import Role

CONFIRM_DEAD = "twinlease.io/confirm-dead"
ADOPT_LEASES = "twinlease.io/adopt-leases"
DISCARD_LEASES = "twinlease.io/discard-leases"
ACKNOWLEDGE_LOST = "twinlease.io/acknowledge-lost-leases"

_OF_SERVERS = (CONFIRM_DEAD, ADOPT_LEASES, DISCARD_LEASES)


class Words(Struct, frozen=True, kw_only=True):
    """What counts of a pair's annotations.

    Attributes:
        confirmed: Servers that are confirmed to be dead.
        adopted: Servers whose lease database is adopted.
        discarded: Servers whose lease database is given up.
        give_up: Both lease databases are acknowledged to be lost.
        wrong: Of each annotation that does not count, why; a sentence.
    """

    confirmed: frozenset[Role] = frozenset()
    adopted: frozenset[Role] = frozenset()
    discarded: frozenset[Role] = frozenset()
    give_up: bool = False
    wrong: tuple[str, ...] = ()


def words(pair: Meta, epoch: int) -> Words:
    """Return what a human says.

    Args:
        pair: Metadata of the pair.
        epoch: The serving lease's: what names another one was said about another situation.
    """
    found: dict[str, frozenset[Role]] = {}
    wrong: list[str] = []
    for key in _OF_SERVERS:
        names = {server_name(pair.name, role): role for role in Role}
        name, problem = _read(pair, key, tuple(names), epoch)
        found[key] = frozenset({names[name]} if name else ())
        wrong += problem
    given_up, problem = _read(pair, ACKNOWLEDGE_LOST, (pair.name,), epoch)
    return Words(
        confirmed=found[CONFIRM_DEAD],
        adopted=found[ADOPT_LEASES],
        discarded=found[DISCARD_LEASES],
        give_up=bool(given_up),
        wrong=(*wrong, *problem),
    )


def refused(said: Words, view: View, pair: str) -> Iterator[str]:
    """Yield a sentence for each confirmation that the facts speak against."""
    for role in Role:
        name = server_name(pair, role)
        if role in said.confirmed and view.heard(role):
            yield f"{CONFIRM_DEAD} is refused: {name} is alive, it writes to the serving lease"
        foreign = view.own(role).database.verdict is DatabaseVerdict.FOREIGN
        if role in said.adopted | said.discarded and not foreign:
            yield f"{ADOPT_LEASES} and {DISCARD_LEASES} are about a foreign lease database; {name} reports none"


def _read(pair: Meta, key: str, names: tuple[str, ...], epoch: int) -> tuple[str, list[str]]:
    """Return the name that an annotation gives, if it counts, and else what is wrong with it."""
    text = pair.annotations.get(key)
    if text is None:
        return "", []
    name, separator, number = text.rpartition("@")
    if separator and name in names and number == str(epoch):
        return name, []
    if separator and name in names and number.isdecimal() and int(number) < epoch:
        return "", [f"{key}: {text!r} is about an epoch that is over, and has no effect any more"]
    allowed = " or ".join(f"{each}@{epoch}" for each in names)
    return "", [f"metadata.annotations[{key}]: {text!r} must be {allowed}, the present epoch, to have an effect"]
