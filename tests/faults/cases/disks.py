"""Cases in which disks hang, vanish, or come back as they were; and packet filters that an administrator empties."""

from tests.faults.actions import (
    adopt,
    create_pair,
    delete_pair,
    delete_record,
    delete_tables,
    flush_rules,
    keep_disk,
    power_off,
    power_on,
    reaches,
    resume_disk,
    roll_back_disk,
    stall_disk,
    takeover,
    verdict,
    wipe,
)
from tests.faults.case import DISKS, SURVIVOR, VICTIM, Case, Wait
from tests.faults.cases.processes import taken_over
from tests.faults.expect import NoTakeover, Reaches, Serves, TakesOver, Verdicts
from twinlease.model.states import FailoverState

_SOON = 20.0
_RETURNS = Reaches(VICTIM, FailoverState.RECOVER, since=("power-on", 0.0))

CASES = (
    Case(
        "disk-stalled",
        "A disk hangs, with the daemon in fsync where no signal reaches it, and goes on after the takeover.",
        (stall_disk(VICTIM), takeover(SURVIVOR, _SOON), Wait(4), resume_disk(VICTIM), Wait(4)),
        taken_over("thaw"),
        nearest=True,
        needs=frozenset({DISKS}),
    ),
    Case(
        "disk-wiped",
        "A disk is lost while its node is off, before the takeover: the server takes everything from the other.",
        (power_off(VICTIM), Wait(2), wipe(VICTIM), power_on(VICTIM), takeover(SURVIVOR, 30.0), Wait(2)),
        (TakesOver(SURVIVOR, within=None), Serves(SURVIVOR), _RETURNS),
        back=60,
    ),
    Case(
        "disk-wiped-after-takeover",
        "A disk is lost while its node is off, after the takeover.",
        (power_off(VICTIM), takeover(SURVIVOR, _SOON), wipe(VICTIM), Wait(2)),
        taken_over(),
        back=60,
    ),
    Case(
        "disk-rolled-back",
        "A disk comes back as it was some time ago: leases are missing from it, and the server must not resume.",
        (keep_disk(VICTIM), Wait(8), power_off(VICTIM), Wait(2), roll_back_disk(VICTIM), power_on(VICTIM),
         takeover(SURVIVOR, 30.0), Wait(2)),
        (TakesOver(SURVIVOR, within=None), Serves(SURVIVOR), _RETURNS),
        nearest=True,
        back=60,
    ),
    Case(
        "disks-rolled-back",
        "Both disks come back as they were: nobody serves until every lease has ended that is not known any more.",
        (keep_disk(VICTIM), keep_disk(SURVIVOR), Wait(8), power_off(VICTIM), power_off(SURVIVOR), Wait(2),
         roll_back_disk(VICTIM), roll_back_disk(SURVIVOR), power_on(VICTIM), power_on(SURVIVOR),
         verdict("LeaseDatabaseLost", 30.0)),
        (Verdicts(("LeaseDatabaseLost",)),),
        back=90,
    ),
    Case(
        "disks-wiped",
        "Both disks are lost: nobody serves until every lease has ended.",
        (power_off(VICTIM), power_off(SURVIVOR), Wait(1), wipe(VICTIM), wipe(SURVIVOR), power_on(VICTIM),
         power_on(SURVIVOR), verdict("LeaseDatabaseLost", 30.0)),
        (Verdicts(("LeaseDatabaseLost",)),),
        back=90,
    ),
    Case(
        "pair-applied-again",
        "The pair is deleted and applied again: it finds its disks and its record, and goes on.",
        (delete_pair(), Wait(2), create_pair(), Wait(10)),
        (NoTakeover(),),
        back=60,
    ),
    Case(
        "pair-applied-again-without-record",
        "The pair is deleted with its record, and applied again on the old disks: a human must say what they are.",
        (delete_pair(), delete_record(), create_pair(), verdict("LeaseDatabaseFound", 40.0),
         adopt(VICTIM), Wait(2), adopt(SURVIVOR), Wait(4)),
        (Verdicts(("LeaseDatabaseFound",)),),
        back=60,
    ),
    Case(
        "ruleset-flushed",
        "An administrator flushes the packet filter on a server's node: the fence stays, or is made anew at once.",
        (flush_rules(VICTIM), Wait(6)),
        (NoTakeover(), Serves(SURVIVOR), Serves(VICTIM, since=("fault", 6.0))),
    ),
    Case(
        "tables-deleted",
        "An administrator deletes every table of the packet filter on a server's node.",
        (delete_tables(VICTIM), Wait(6)),
        (NoTakeover(), Serves(SURVIVOR), Serves(VICTIM, since=("fault", 6.0))),
    ),
    Case(
        "ruleset-flushed-isolated",
        "The packet filter is flushed on the node of a server that is cut off: its permit ends all the same.",
        (flush_rules(VICTIM).at("flushed"), power_off(VICTIM), reaches(SURVIVOR, FailoverState.PARTNER_DOWN, _SOON,
         "takeover"), Wait(2)),
        taken_over(),
    ),
)  # fmt: skip
