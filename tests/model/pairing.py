"""The two servers together: dhcpd's failover link as it was measured, and the promise channel."""

from collections.abc import Iterator

from tests.model import state
from tests.model.decisions import Decisions
from tests.model.invariants import NEWS_LOST
from tests.model.server import Alone, awake, synchronised
from tests.model.state import Letter, Net, Server
from twinlease.model.states import Role

Two = tuple[Server, Server]
Step = tuple[str, Two, Net]


def linkable(one: Server, two: Server) -> bool:
    """Tell whether both daemons could be in contact."""
    return all(each.power and not each.frozen and each.daemon != "off" for each in (one, two))


class Pairing:
    """What happens between the two."""

    def __init__(self, decisions: Decisions, machine: Alone) -> None:
        self.decide = decisions
        self.machine = machine

    def steps(self, one: Server, two: Server, net: Net, asking: tuple[Role, ...]) -> Iterator[Step]:
        """Yield what may happen between the two; ``asking``: those that ask for promises."""
        if linkable(one, two):
            yield from self._link(one, two, net)
        for role in asking:
            asker, promiser = _order(role, one, two)
            yield from self._exchange(role, asker, promiser, net)
            if net.slow and not net.letters:
                yield from self._posted(role, asker, promiser, net)
        for letter in net.letters:
            yield from self._delivered(letter, one, two, net)

    # --- the failover link --------------------------------------------------------------------------------------------
    def _link(self, one: Server, two: Server, net: Net) -> Iterator[Step]:
        if not net.linked:
            after, what = contact(one, two)
            yield f"link: the daemons are in contact; {what}", after, net._replace(linked=True)
        elif {one.daemon, two.daemon} == {"recover", "pd"}:
            survivor, other = (one, two) if one.daemon == "pd" else (two, one)
            back = synchronised(other)._replace(owed=survivor.owed)
            both = (synchronised(survivor), back) if survivor is one else (back, synchronised(survivor))
            yield "link: the returning server has the survivor's leases; both are normal", both, net

    # --- the promise channel, answered at once ------------------------------------------------------------------------
    def _exchange(self, role: Role, asker: Server, promiser: Server, net: Net) -> Iterator[Step]:
        if not may_ask(asker) or not awake(promiser):
            return
        long = asker.permit.long_wanted(0.0)
        if self.machine.may_promise(promiser):
            length = state.MAX_PROMISE if long else state.PROMISE
            what = f"{role}: asks for a {'long ' if long else ''}promise and gets it"
            answered = self._told(asker._replace(permit=asker.permit.answer(0.0, length)))
            yield what, _pair(role, answered, self.promised(promiser, length, long=long)), _overtaken(net, role)
        if not long and asker.permit.promised > state.PROMISE and self.machine.may_promise(promiser):
            lowered = self.lowered(asker)
            answered = self._told(lowered._replace(permit=lowered.permit.answer(0.0, state.PROMISE)))
            after = _pair(role, answered, self.renounced(promiser))
            yield f"{role}: renounces the long promise for a short one", after, _overtaken(net, role)

    def promised(self, promiser: Server, length: int, *, long: bool) -> Server:
        """Return the promiser after a promise; a long one is on its disk first."""
        record = promiser.record
        if long and not self.decide.without("fsync of long promise"):
            record = record._replace(long=True, kept=True)
        return promiser._replace(promiser=self.decide.promise(promiser.promiser, length, long=long), record=record)

    def renounced(self, promiser: Server) -> Server:
        """Return the promiser after a renounce."""
        record = promiser.record._replace(long=False)
        return promiser._replace(promiser=self.decide.renounced(promiser.promiser, state.PROMISE), record=record)

    def lowered(self, asker: Server) -> Server:
        """Return the asker about to renounce: its guard goes without the promise first."""
        if self.decide.without("renounce in force first"):
            return asker
        return self._told(asker._replace(permit=asker.permit.renounce()))

    def _told(self, asker: Server) -> Server:
        return asker._replace(left=self.decide.deadline(asker.permit))

    # --- the same with messages that are delayed, lost, doubled or overtaken ------------------------------------------
    def _posted(self, role: Role, asker: Server, promiser: Server, net: Net) -> Iterator[Step]:
        if not may_ask(asker) or not awake(promiser):
            return
        long = asker.permit.long_wanted(0.0)
        length = state.MAX_PROMISE if long else state.PROMISE
        question = Letter(to=role.other, age=0, length=length, long=long)
        spent = net._replace(slow=net.slow - 1)
        yield f"{role}: asks for a promise of {length}", _pair(role, asker, promiser), _with(spent, question)
        if not long and asker.permit.promised > state.PROMISE:
            sent = question._replace(renounce=True)
            yield f"{role}: sends a renounce", _pair(role, self.lowered(asker), promiser), _with(spent, sent)

    def _delivered(self, letter: Letter, one: Server, two: Server, net: Net) -> Iterator[Step]:
        rest = net._replace(letters=tuple(each for each in net.letters if each != letter))
        receiver, sender = _order(letter.to, one, two)
        if letter.answer:
            if may_ask(receiver):
                sent = 0.0 if self.decide.without("count from sending") else -float(letter.age)
                permit = receiver.permit.answer(sent, letter.length)
                told = self._told(receiver._replace(permit=permit))
                what = f"{letter.to}: a promise of {letter.length}, asked for {letter.age} ago, arrives"
                yield what, _pair(letter.to, told, sender), rest
            return
        accepted = not letter.stale or self.decide.without("replay protection")
        if not awake(receiver) or not accepted or not self.machine.may_promise(receiver):
            return
        if letter.renounce:
            after = self.renounced(receiver)
        else:
            after = self.promised(receiver, letter.length, long=letter.long)
        what = f"{letter.to}: {'a renounce' if letter.renounce else 'a question'} of {letter.age} ago arrives"
        answer = letter._replace(to=letter.to.other, answer=True)
        yield what, _pair(letter.to, after, sender), _with(_overtaken(rest, letter.to.other), answer)
        doubled = _with(_with(_overtaken(rest, letter.to.other), answer), letter._replace(stale=True))
        yield f"{what}, and a copy is on its way", _pair(letter.to, after, sender), doubled


def contact(one: Server, two: Server) -> tuple[Two, str]:
    """Return both daemons after they found each other, as measured of dhcpd."""
    daemons = {one.daemon, two.daemon}
    if daemons == {"recover"} or (daemons <= {"recover", "startup"} and _blank(one) and _blank(two)):
        return (synchronised(one), synchronised(two)), "both begin"
    if "pd" in daemons:
        if daemons == {"pd"}:
            return (synchronised(one), synchronised(two)), f"both were in partner-down: {NEWS_LOST}"
        return (_behind(one), _behind(two)), "one is in partner-down, the other takes over its leases"
    if "recover" in daemons:
        returner, other = (one, two) if one.daemon == "recover" else (two, one)
        lost = f": {NEWS_LOST}" if returner.news else ""
        down = other._replace(daemon="pd", recorded="pd", news=True)
        both = (returner, down) if returner is one else (down, returner)
        return both, f"a server in recover puts the other into partner-down by itself{lost}"
    overwritten = (one.regress and two.news) or (two.regress and one.news)
    what = f"older leases overwrite newer ones: {NEWS_LOST}" if overwritten else "both are normal"
    return (synchronised(one), synchronised(two)), what


def _blank(server: Server) -> bool:
    return server.daemon == "recover" or server.recorded == "virgin"


def _behind(server: Server) -> Server:
    if server.daemon == "pd":
        return server
    lost = server._replace(daemon="recover", recorded="recover", regress=False)
    return lost if server.daemon != "normal" else lost._replace(age=0)


def may_ask(server: Server) -> bool:
    """Tell whether a server asks for promises: its daemon runs, and its permit never lapsed."""
    return awake(server) and server.daemon != "off" and server.grant > 0 and server.left > 0


def forgotten(net: Net, role: Role) -> Net:
    """Return the letters after a sidecar began anew: questions to it are of an old session, answers are not its own."""
    kept = tuple(
        each._replace(stale=True) if not each.answer else each
        for each in net.letters
        if not (each.answer and each.to == role)
    )
    return net._replace(letters=tuple(sorted(set(kept))))


def aged(net: Net, ticks: dict[Role, int]) -> Net:
    """Return the letters after a tick."""
    letters = [each._replace(age=each.age + ticks[each.to if each.answer else each.to.other]) for each in net.letters]
    return net._replace(letters=tuple(sorted(each for each in letters if each.age <= state.FORGET)))


def _overtaken(net: Net, asker: Role) -> Net:
    letters = (each._replace(stale=True) if each.to != asker and not each.answer else each for each in net.letters)
    return net._replace(letters=tuple(sorted(set(letters))))


def _with(net: Net, letter: Letter) -> Net:
    return net._replace(letters=tuple(sorted({*net.letters, letter})))


def _order(role: Role, one: Server, two: Server) -> Two:
    return (one, two) if role is Role.PRIMARY else (two, one)


def _pair(role: Role, mine: Server, other: Server) -> Two:
    return (mine, other) if role is Role.PRIMARY else (other, mine)
