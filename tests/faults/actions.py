"""What can be done to the pair under test: each is a step of a case. The names say what they do to whom."""

from collections.abc import Callable
from pathlib import Path

from tests.e2e.world import PAIR
from tests.faults.case import Actor, Cast, Do, Until
from tests.faults.stage import DHCPD, GUARD, SIDECAR, Stage
from tests.faults.timeline import Timeline
from tests.lab.switch import Direction, Target
from tests.lab.waiting import until
from twinlease.model.states import FailoverState

FAULT = "fault"
"""The mark of the step that the case is about."""

_NAMES = {DHCPD: "daemon", GUARD: "guard", SIDECAR: "sidecar"}


# --- nodes, pods, processes -------------------------------------------------------------------------------------------
def power_off(actor: Actor) -> Do:
    """Take the power of a server's node."""
    return Do(f"power off the {actor}'s node", lambda stage: stage.faults.power_off(stage.node(actor)), FAULT)


def power_on(actor: Actor) -> Do:
    """Give it back."""
    return Do(f"power on the {actor}'s node", lambda stage: stage.faults.power_on(stage.node(actor)), "power-on")


def freeze_node(actor: Actor) -> Do:
    """Stop everything on a server's node."""
    return Do(f"freeze the {actor}'s node", lambda stage: stage.faults.freeze(stage.node(actor)), FAULT)


def thaw_node(actor: Actor) -> Do:
    """Let everything on a server's node go on, also what was frozen by itself."""

    def thaw(stage: Stage) -> None:
        stage.faults.thaw(stage.node(actor))
        stage.faults.thaw_processes(stage.node(actor))

    return Do(f"thaw the {actor}", thaw, "thaw")


def kill(actor: Actor, process: str) -> Do:
    """Kill one of a server's processes."""
    return Do(
        f"kill the {actor}'s {_NAMES[process]}",
        lambda stage: stage.faults.kill_processes(stage.processes(actor, process)),
        FAULT,
        ends=process != DHCPD,  # its guard starts that one
    )


def freeze(actor: Actor, process: str) -> Do:
    """Stop one of a server's processes, and no other."""
    return Do(
        f"freeze the {actor}'s {_NAMES[process]}",
        lambda stage: stage.faults.freeze_processes(stage.processes(actor, process)),
        FAULT,
    )


def kill_pod(actor: Actor) -> Do:
    """Kill everything in a server's pod at once."""
    return Do(
        f"kill the {actor}'s pod",
        lambda stage: stage.faults.kill_pod(stage.node(actor), stage.uid(actor)),
        FAULT,
        ends=True,
    )


def freeze_pod(actor: Actor) -> Do:
    """Stop everything in a server's pod."""
    return Do(
        f"freeze the {actor}'s pod", lambda stage: stage.faults.freeze_pod(stage.node(actor), stage.uid(actor)), FAULT
    )


def delete_pod(actor: Actor) -> Do:
    """Delete a server's pod as a user does."""
    return Do(
        f"delete the {actor}'s pod",
        lambda stage: stage.lab.kubectl("delete", "pod", stage.server(actor), "--wait=false"),
        FAULT,
    )


# --- network ----------------------------------------------------------------------------------------------------------
def cut(actor: Actor, *targets: Target, one_way: Direction | None = None) -> Do:
    """Lose a server's traffic with the API, the LAN, or its partner."""

    def act(stage: Stage) -> None:
        for target in targets:
            stage.faults.cut(stage.node(actor), target, one_way)

    way = {None: "", "in": " (what comes in)", "out": " (what goes out)"}[one_way]
    return Do(f"cut the {actor} from {' and '.join(targets)}{way}", act, FAULT)


def heal(actor: Actor, *targets: Target) -> Do:
    """Undo a cut."""

    def act(stage: Stage) -> None:
        for target in targets:
            stage.faults.heal(stage.node(actor), target)

    return Do(f"heal the {actor}'s {' and '.join(targets)}", act, "heal")


def split_lan(without_api: Actor | None = None) -> Do:
    """Part the LAN between the two servers, and cut one half from the API."""

    def act(stage: Stage) -> None:
        if without_api is not None:
            stage.faults.cut(stage.node(without_api), "api")
        stage.faults.split_lan()

    side = "" if without_api is None else f", and cut the {without_api} from the API"
    return Do(f"split the LAN{side}", act, FAULT)


def cut_api_for_all() -> Do:
    """Lose every node's traffic with the API server."""
    return Do("cut all nodes from the API", lambda stage: stage.faults.cut_api_for_all(), FAULT)


def heal_api_for_all() -> Do:
    """Undo that."""

    def act(stage: Stage) -> None:
        for name in stage.lab.machines:
            stage.faults.heal(name, "api")

    return Do("heal all nodes' way to the API", act, "heal")


def freeze_api() -> Do:
    """Stop the API server where it is."""
    return Do("freeze the API server", lambda stage: stage.faults.freeze_api(), FAULT)


def thaw_api() -> Do:
    """Let it go on."""
    return Do("thaw the API server", lambda stage: stage.faults.thaw_api(), "heal")


# --- disks and packet filters -----------------------------------------------------------------------------------------
def stall_disk(actor: Actor) -> Do:
    """Let every write to a server's disk hang."""
    return Do(f"stall the {actor}'s disk", lambda stage: stage.faults.stall_disk(stage.node(actor)), FAULT)


def resume_disk(actor: Actor) -> Do:
    """Let the disk go on."""
    return Do(f"resume the {actor}'s disk", lambda stage: stage.faults.resume_disk(stage.node(actor)), "thaw")


def wipe(actor: Actor) -> Do:
    """Empty a server's disk."""
    return Do(f"wipe the {actor}'s disk", lambda stage: stage.faults.wipe(stage.node(actor)))


def keep_disk(actor: Actor) -> Do:
    """Copy a server's disk, to be put back later."""
    return Do(
        f"copy the {actor}'s disk", lambda stage: stage.faults.keep_disk(stage.node(actor), _copy(stage, actor)), "copy"
    )


def roll_back_disk(actor: Actor) -> Do:
    """Put a server's disk back to the copy."""
    return Do(
        f"put the copy of the {actor}'s disk back",
        lambda stage: stage.faults.roll_back_disk(stage.node(actor), _copy(stage, actor)),
    )


def set_clock(actor: Actor, seconds: int) -> Do:
    """Let a server's wall clock be off."""
    return Do(
        f"set the {actor}'s clock {seconds:+} s off",
        lambda stage: stage.faults.set_clock(stage.node(actor), stage.uid(actor), seconds),
        FAULT,
    )


def flush_rules(actor: Actor) -> Do:
    """Be an administrator who flushes the packet filter."""
    return Do(f"flush the {actor}'s ruleset", lambda stage: stage.faults.flush_rules(stage.node(actor)), FAULT)


def delete_tables(actor: Actor) -> Do:
    """Be an administrator who deletes every table."""
    return Do(f"delete the {actor}'s tables", lambda stage: stage.faults.delete_tables(stage.node(actor)), FAULT)


# --- the operator and its objects -------------------------------------------------------------------------------------
def kill_leader() -> Do:
    """Kill the operator that leads."""
    return Do("kill the operator that leads", lambda stage: stage.faults.kill_pod(*stage.leader()), "operator")


def freeze_leader() -> Do:
    """Stop the operator that leads; it goes on when the lab is mended."""
    return Do("freeze the operator that leads", lambda stage: stage.faults.freeze_pod(*stage.leader()), "operator")


def thaw_leader() -> Do:
    """Let the former leader go on."""

    def thaw(stage: Stage) -> None:
        for name in stage.lab.machines:
            stage.faults.thaw_processes(name)

    return Do("thaw the operator", thaw, "thaw")


def maintain(actor: Actor, *, wanted: bool) -> Do:
    """Ask for a server to be stopped, or back."""

    def act(stage: Stage) -> None:
        stage.world.patch("dfp", PAIR, {str(stage.cast[actor]): {"maintenance": wanted}})

    return Do(f"ask for the {actor} to be {'stopped' if wanted else 'back'}", act, FAULT if wanted else "back")


def change_pool() -> Do:
    """Change what the servers are configured with."""

    def act(stage: Stage) -> None:
        stage.world.patch("dpool", "office", {"options": {"domainName": "changed.example.org"}})

    return Do("change an option of the pool", act, FAULT)


def taint(actor: Actor) -> Do:
    """Declare a server's node out of service."""
    return Do(
        f"declare the {actor}'s node out of service",
        lambda stage: stage.lab.kubectl(
            "taint", "node", stage.node(actor), f"{_OUT_OF_SERVICE}=gone:NoSchedule", "--overwrite"
        ),
        "tainted",
    )


def untaint(actor: Actor) -> Do:
    """Take that back."""
    return Do(
        f"take the {actor}'s taint away",
        lambda stage: stage.lab.kubectl("taint", "node", stage.node(actor), f"{_OUT_OF_SERVICE}-"),
    )


_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


def confirm_dead(actor: Actor) -> Do:
    """Be the human who has looked, and confirms that a server is dead."""
    return Do(
        f"confirm that the {actor} is dead",
        lambda stage: stage.annotate("confirm-dead", f"{stage.server(actor)}@{stage.epoch()}"),
        "confirmed",
    )


def delete_pair() -> Do:
    """Delete the pair and wait until its servers are gone; its leases stay."""

    def act(stage: Stage) -> None:
        stage.lab.kubectl("delete", "dfp,dpool", "--all", "--wait=false")
        until("the servers are gone", lambda: not stage.world.every("dsrv"), timeout=60, every=0.2)

    return Do("delete the pair", act, FAULT)


def delete_record() -> Do:
    """Delete what the cluster remembers of a deleted pair."""
    return Do("delete the record of its leases", lambda stage: stage.forget())


def create_pair() -> Do:
    """Apply the pair again."""
    return Do("apply the pair again", lambda stage: stage.apply(), "again")


def adopt(actor: Actor) -> Do:
    """Be the human who adopts the leases that were found on a server's disk."""
    return Do(
        f"adopt the leases on the {actor}'s disk",
        lambda stage: stage.annotate("adopt-leases", f"{stage.server(actor)}@{stage.epoch()}"),
        "adopted",
    )


# --- what is waited for -----------------------------------------------------------------------------------------------
Happened = Callable[[Timeline, Cast, float], float | None]


def reaches(actor: Actor, state: FailoverState, within: float, mark: str = "") -> Until:
    """Wait until a server's sidecar reports a state."""
    return Until(
        f"the {actor} is in {state}",
        lambda seen, who, since: seen.reached(who[actor], state, since),
        within,
        mark or str(state),
    )


def takeover(actor: Actor, within: float) -> Until:
    """Wait until a server is in partner-down."""
    return reaches(actor, FailoverState.PARTNER_DOWN, within, "takeover")


def verdict(reason: str, within: float, mark: str = "") -> Until:
    """Wait until the pair's condition PartnerDown gives a reason."""

    def happened(seen: Timeline, who: Cast, since: float) -> float | None:
        del who
        return next((max(time, since) for time, each in seen.verdicts(since) if each == reason), None)

    return Until(f"the verdict is {reason}", happened, within, mark or reason)


def ordered(within: float) -> Until:
    """Wait until an order to enter partner-down is given."""

    def happened(seen: Timeline, who: Cast, since: float) -> float | None:
        del who
        return next((each.ordered for each in seen.takeovers(0.0) if each.ordered >= since), None)

    return Until("an order is given", happened, within, "ordered")


def _copy(stage: Stage, actor: Actor) -> Path:
    return stage.scratch / f"disk-{stage.node(actor)}"
