"""Who may serve, on a real API server with the admission policy in force; the test plays the sidecars."""

import pytest
from msgspec import UNSET

from tests.api.operating import Operator, Start, bring_up, settle
from tests.api.seats import Seat
from tests.api.world import World
from twinlease.api.servinglease import Answer, Database, DatabaseVerdict, Evidence, InForce, Phase, Report
from twinlease.api.servinglease import Start as How
from twinlease.kube import protocol
from twinlease.kube.protocol import EVENTS, PAIRS, PODS, SERVING_LEASES, ApiError, Json

AFTER = 300.0


@pytest.fixture
def seats(world: World, operator: Operator) -> tuple[Seat, Seat]:
    """Return the sidecars of a pair that is normal."""
    del operator
    return world.seat("primary"), world.seat("secondary")


def renewed(operator: Operator, seat: Seat, seconds: float) -> None:
    """Let time pass while one server renews in communications-interrupted, as often as it should, and looks follow."""
    passed = 0.0
    while passed < seconds:
        step = min(40.0, seconds - passed)
        operator.wait(step)
        passed += step
        seat.cut_off(passed)
        operator.look()


def takeover(operator: Operator, survivor: Seat) -> None:
    """Let the other one be silent until the survivor is ordered into partner-down, which it executes."""
    operator.look()
    renewed(operator, survivor, AFTER)
    assert survivor.lease().survivor == survivor.role
    survivor.answer(Answer.EXECUTED, "PartnerDown", partner="CommunicationsInterrupted", since=1_800_000_300)
    operator.look()


def condition(world: World, kind: str) -> tuple[str, str]:
    found = world.conditions(PAIRS, "p")[kind]
    return found["status"], found["reason"]


def pair(world: World) -> Json:
    return world.admin.get(PAIRS, "p", world.namespace)


def missing_rules(world: World) -> dict[tuple[str, str], str]:
    """Return the rules that do not hold, and when time alone may change that."""
    rules = pair(world)["status"]["takeover"].get("rules", [])
    return {(each["server"], each["rule"]): each.get("until", "") for each in rules if not each.get("holds")}


def events(world: World) -> set[tuple[str, str]]:
    return {(each["type"], each["reason"]) for each in world.all(EVENTS).values()}


def test_both_begin_fresh_and_are_established_once_both_are_normal(
    world: World, operator: Operator, seats: tuple[Seat, Seat]
) -> None:
    del operator
    lease = seats[0].lease()
    assert (lease.phase, lease.established, lease.order) == (Phase.BOTH, True, UNSET)
    assert [seat.grant.start for seat in seats] == [How.FRESH, How.FRESH]
    assert [seat.grant.epoch for seat in seats] == [1, 2]
    assert (lease.max_lease.duration, lease.mclt.duration) == ("30m", "30m")
    assert condition(world, "PartnerDown") == ("False", "Normal")
    assert condition(world, "KernelFence") == ("True", "Proven")
    assert condition(world, "LeaseDatabaseIntact") == ("True", "Intact")
    status = pair(world)["status"]
    assert (status["phase"], status["takeover"]["epoch"], status["takeover"]["silence"]) == ("Both", 2, "4m4s")


def test_renewals_at_rest_are_answered_with_no_write_at_all(operator: Operator, seats: tuple[Seat, Seat]) -> None:
    operator.look()
    for _ in range(5):
        operator.wait(40)
        for seat in seats:
            seat.confirm("Normal")
        assert operator.look() == 0


def test_the_serving_lease_has_a_finalizer_and_an_owner_only_where_it_goes_with_the_pair(
    world: World, operator: Operator
) -> None:
    metadata = world.admin.get(SERVING_LEASES, "p", world.namespace)["metadata"]
    assert metadata["finalizers"] == ["twinlease.io/serving"]
    assert metadata["labels"]["twinlease.io/pair"] == "p"
    assert "ownerReferences" not in metadata
    world.pair(storage={"reclaimPolicy": "Delete"})
    operator.look()
    metadata = world.admin.get(SERVING_LEASES, "p", world.namespace)["metadata"]
    assert [each["name"] for each in metadata["ownerReferences"]] == ["p"]


def test_a_server_that_died_in_contact_resumes(operator: Operator, seats: tuple[Seat, Seat]) -> None:
    primary, secondary = seats
    secondary.crash(state="Normal")
    secondary.ask()
    operator.look()
    assert secondary.grant.holder == secondary.incarnation
    assert secondary.grant.start is How.RESUME
    assert primary.lease().phase is Phase.BOTH


def test_silence_leads_to_partner_down_at_the_threshold_and_the_return_back_to_both(
    world: World, operator: Operator, seats: tuple[Seat, Seat]
) -> None:
    primary, secondary = seats
    operator.look()
    renewed(operator, primary, AFTER - 1)
    assert primary.lease().order is UNSET
    assert condition(world, "PartnerDown") == ("False", "NotYet")
    assert missing_rules(world) == {("p-primary", "Interruption"): pair(world)["status"]["takeover"]["earliest"]}
    silent = [each.get("silentSince") for each in pair(world)["status"]["servers"]]
    assert silent == [None, "2027-01-15T08:00:00Z"]

    operator.wait(1)
    operator.look()
    lease = primary.lease()
    order = lease.order
    assert order is not UNSET
    assert (order.epoch, order.evidence, order.interruption) == (3, Evidence.EXPIRED, 1)
    assert (lease.phase, lease.survivor, secondary.grant.holder) == (Phase.ALONE, "primary", "")
    assert primary.grant.duration == "1h"
    assert condition(world, "PartnerDown") == ("False", "Ordered")

    since = 1_800_000_300
    primary.answer(Answer.EXECUTED, "PartnerDown", partner="CommunicationsInterrupted", since=since)
    operator.look()
    assert condition(world, "PartnerDown") == ("True", "Executed")
    status = pair(world)["status"]
    assert (status["phase"], status["survivor"]) == ("Alone", "primary")
    assert status["takeover"]["addressesUsable"] == "2027-01-15T08:35:00Z"
    assert status["takeover"]["parkedUntil"] == "2027-01-15T08:35:01Z"
    assert {("Warning", "Ordered"), ("Warning", "Executed")} <= events(world)

    secondary.crash(state="CommunicationsInterrupted")
    secondary.ask()
    operator.look()
    assert secondary.grant.start is How.RECOVER
    assert primary.lease().phase is Phase.RETURNING
    secondary.confirm("RecoverWait", since=since)
    operator.look()
    assert condition(world, "PartnerDown") == ("True", "Returning")
    assert pair(world)["status"]["takeover"]["recoverEnds"] == "2027-01-15T08:35:00Z"

    for seat in seats:
        seat.confirm("Normal")
    operator.look()
    lease = primary.lease()
    assert (lease.phase, lease.survivor, lease.order) == (Phase.BOTH, "", UNSET)
    assert primary.grant.duration == "4m"
    operator.look()
    assert condition(world, "PartnerDown") == ("False", "Normal")
    assert missing_rules(world) == {}
    story = [("Alone", "Ordered"), ("Alone", "Executed"), ("Returning", "Returning"), ("Both", "Normal")]
    told = [(each["phase"], each["reason"]) for each in pair(world)["status"]["history"]]
    assert [each for each in told if each in story][-4:] == story


def test_an_order_that_is_refused_is_withdrawn_and_the_other_is_granted_anew(
    operator: Operator, seats: tuple[Seat, Seat]
) -> None:
    primary, secondary = seats
    operator.look()
    renewed(operator, primary, AFTER)
    secondary.crash(state="Normal")
    secondary.ask()
    operator.look()
    assert secondary.grant.holder == "", "not before the order is answered"

    primary.answer(Answer.REFUSED, "CommunicationsInterrupted", partner="Normal")
    operator.look()
    lease = primary.lease()
    assert (lease.phase, lease.survivor, lease.order) == (Phase.BOTH, "", UNSET)
    assert (secondary.grant.holder, secondary.grant.start) == (secondary.incarnation, How.RESUME)


@pytest.mark.parametrize("mode", ["Manual", "Never"])
def test_another_mode_says_what_it_would_do(
    world: World, operator: Operator, seats: tuple[Seat, Seat], mode: str
) -> None:
    world.pair(partnerDown={"mode": mode})
    operator.look()
    renewed(operator, seats[0], AFTER + 10)
    assert seats[0].lease().order is UNSET
    assert condition(world, "PartnerDown") == ("False", mode)

    key = "twinlease.io/confirm-dead"
    world.admin.merge_patch(PAIRS, "p", world.namespace, {"metadata": {"annotations": {key: "p-secondary@2"}}})
    operator.look()
    ordered = seats[0].lease().order is not UNSET
    assert ordered is (mode == "Manual")


def test_without_a_kernel_fence_silence_is_no_evidence_but_a_humans_word_is(
    world: World, operator: Operator, seats: tuple[Seat, Seat]
) -> None:
    primary, secondary = seats
    secondary.kernel_fence = False
    secondary.confirm("Normal")
    operator.look()
    assert condition(world, "KernelFence")[0] == "False"
    renewed(operator, primary, AFTER + 10)
    assert primary.lease().order is UNSET
    found = world.conditions(PAIRS, "p")["PartnerDown"]
    assert found["reason"] == "WaitingForEvidence"
    assert "kernel fence was not proven" in found["message"]

    def confirm(value: str) -> None:
        patch = {"metadata": {"annotations": {"twinlease.io/confirm-dead": value}}}
        world.admin.merge_patch(PAIRS, "p", world.namespace, patch)
        operator.look()

    for wrong in ("p-secondary@1", "p-secondary@7", "secondary@2", "p-secondary"):
        confirm(wrong)
        assert primary.lease().order is UNSET, wrong
        assert wrong in world.conditions(PAIRS, "p")["PartnerDown"]["message"]
    assert ("Warning", "ConfirmationRefused") in events(world)
    confirm("p-secondary@2")
    order = primary.lease().order
    assert order is not UNSET
    assert order.evidence is Evidence.CONFIRMED


def test_the_living_are_not_confirmed_dead(world: World, operator: Operator, seats: tuple[Seat, Seat]) -> None:
    primary, secondary = seats
    operator.look()
    patch = {"metadata": {"annotations": {"twinlease.io/confirm-dead": "p-secondary@2"}}}
    world.admin.merge_patch(PAIRS, "p", world.namespace, patch)
    for passed in range(40, 400, 40):
        operator.wait(40)
        primary.cut_off(passed)
        secondary.cut_off(passed)
        operator.look()
    assert primary.lease().order is UNSET
    assert "is alive" in world.conditions(PAIRS, "p")["PartnerDown"]["message"]


def test_maintenance_of_one_hands_over_at_once(world: World, operator: Operator, seats: tuple[Seat, Seat]) -> None:
    primary, secondary = seats
    operator.look()
    world.pair(secondary={"nodeName": "n2", "interface": "eth1", "maintenance": True})
    operator.look()
    assert world.servers()["p-secondary"]["spec"]["maintenance"] is True
    secondary.release()
    primary.cut_off(1)
    operator.look()
    order = primary.lease().order
    assert order is not UNSET
    assert order.evidence is Evidence.RELEASED
    primary.answer(Answer.EXECUTED, "PartnerDown", partner="CommunicationsInterrupted")

    world.pair()
    operator.look()
    assert world.servers()["p-secondary"]["spec"].get("maintenance", False) is False
    secondary.ask()
    operator.look()
    assert secondary.grant.start is How.RECOVER


def test_maintenance_of_both_is_refused(world: World, operator: Operator) -> None:
    del operator
    with pytest.raises(ApiError) as refused:
        world.pair(
            primary={"nodeName": "n1", "interface": "eth1", "maintenance": True},
            secondary={"nodeName": "n2", "interface": "eth1", "maintenance": True},
        )
    assert refused.value.status == 422
    assert "spec.secondary.maintenance" in str(refused.value)


def test_both_databases_lost_wait_for_the_last_lease_or_a_human(
    world: World, operator: Operator, seats: tuple[Seat, Seat]
) -> None:
    operator.look()
    for seat in seats:
        seat.crash(verdict=DatabaseVerdict.LOST, state="Unknown")
        seat.ask()
    operator.look()
    assert not any(seat.granted for seat in seats)
    assert condition(world, "LeaseDatabaseIntact") == ("False", "LeaseDatabaseLost")
    assert condition(world, "PartnerDown") == ("False", "LeaseDatabaseLost")

    epoch = seats[0].lease().epoch
    patch = {"metadata": {"annotations": {"twinlease.io/acknowledge-lost-leases": f"p@{epoch}"}}}
    world.admin.merge_patch(PAIRS, "p", world.namespace, patch)
    operator.look()
    first, second = seats
    assert first.granted
    assert not second.granted, "the epoch has risen: its turn is when the first is seen to have begun anew"
    first.database = Database(verdict=DatabaseVerdict.LOST)
    first.write(in_force=InForce(epoch=first.grant.epoch), report=Report(state="Recover"))
    operator.look()
    assert second.granted
    assert [seat.grant.start for seat in seats] == [How.FRESH, How.FRESH]


def test_a_found_database_waits_for_a_human(world: World, operator: Operator, seats: tuple[Seat, Seat]) -> None:
    primary, secondary = seats
    operator.look()
    secondary.database = Database(verdict=DatabaseVerdict.FOREIGN, state="Normal", held=3)
    for seat in seats:
        seat.boot += 1
    primary.database = Database(verdict=DatabaseVerdict.INTACT, state="Normal")
    secondary.ask()
    operator.look()
    found = world.conditions(PAIRS, "p")["LeaseDatabaseIntact"]
    assert (found["status"], found["reason"]) == ("False", "LeaseDatabaseFound")
    assert "twinlease.io/adopt-leases=p-secondary@2" in found["message"]


def test_the_first_boot_of_one_server_alone(world: World, start: Start) -> None:  # noqa: PLR0915  # one long story
    operator = start()
    world.pair()
    world.pool()
    operator.look()
    world.schedule()
    world.report("p-primary")
    primary = world.seat("primary")
    primary.ask(ready=False)
    operator.look()
    assert world.wanted()["p-primary"] == ""
    operator.wait(AFTER - 1)
    primary.ask(ready=False)
    operator.look()
    assert world.wanted()["p-primary"] == ""

    operator.wait(1)
    primary.ask(ready=False)
    operator.look()
    assert "peer address 255.255.255.255" in world.text("p-primary")
    assert world.wanted()["p-secondary"] == ""
    assert world.servers()["p-primary"]["spec"]["partner"].get("failoverAddress", "") == ""
    primary.ask()
    operator.look()
    assert (primary.grant.start, primary.lease().survivor) == (How.SURVIVE, "primary")
    assert primary.lease().max_lease.duration == "30m"

    def runs(state: str) -> None:
        revision = world.wanted()["p-primary"]
        primary.confirm(state, partner="CommunicationsInterrupted", config=revision)
        world.report("p-primary", running=revision, state=state, partner="CommunicationsInterrupted")

    runs("PartnerDown")
    operator.look()
    assert condition(world, "PartnerDown")[0] == "True"
    lone = world.wanted()["p-primary"]

    world.report("p-secondary")
    operator.look()
    assert world.wanted()["p-primary"] != lone
    assert world.wanted()["p-secondary"] == "", "its turn is when the survivor knows it"
    assert "peer address 10.9.0.12" in world.text("p-primary")
    assert world.servers()["p-primary"]["spec"]["maintenance"] is True, "it gives up its grant for a moment"
    primary.release()
    operator.look()
    assert world.servers()["p-primary"]["spec"].get("maintenance", False) is False
    primary.database = Database(verdict=DatabaseVerdict.INTACT, state="PartnerDown")
    primary.ask()
    operator.look()
    assert primary.grant.start is How.SURVIVE
    assert primary.granted
    runs("PartnerDown")
    operator.look()
    assert world.wanted()["p-secondary"]

    secondary = world.seat("secondary")
    secondary.ask()
    operator.look()
    secondary.ask()
    operator.look()
    assert secondary.grant.start is How.RECOVER
    settle(world, operator)
    assert primary.lease().established
    assert condition(world, "PartnerDown") == ("False", "Normal")


def test_nothing_is_rolled_out_while_one_is_revoked(world: World, operator: Operator, seats: tuple[Seat, Seat]) -> None:
    takeover(operator, seats[0])
    before = world.wanted()
    world.pool(ranges=[])
    for name in before:  # even if their statuses were edited to look well
        world.report(name, running=before[name], state="Normal")
    operator.look()
    assert world.wanted() == before


def test_a_longer_lease_is_in_the_serving_lease_before_any_server_is_told(world: World, operator: Operator) -> None:
    seen = len(operator.observed.writes)
    world.pool(leaseTime={"default": "30m", "maximum": "2h"})
    operator.look()
    written = operator.observed.writes[seen:]
    lease = next(at for at, path in enumerate(written) if "dhcpservingleases" in path)
    server = next(at for at, path in enumerate(written) if "dhcpservers/" in path)
    assert lease < server
    settle(world, operator)
    assert world.seat("primary").lease().max_lease.duration == "2h"

    world.pool()
    settle(world, operator)
    bound = world.seat("primary").lease().max_lease
    assert bound.duration == "2h"
    assert bound.until
    operator.wait(7201)
    settle(world, operator)
    assert world.seat("primary").lease().max_lease.duration == "30m"


def test_nobody_is_ordered_on_an_edited_status(world: World, operator: Operator, seats: tuple[Seat, Seat]) -> None:
    operator.look()
    world.report("p-secondary", running="", state="Unknown")
    world.report("p-primary", running=world.wanted()["p-primary"], state="CommunicationsInterrupted")
    for _ in range(10):
        operator.wait(40)
        for seat in seats:
            seat.confirm("Normal")
        operator.look()
    assert seats[0].lease().epoch == 2


def test_a_serving_lease_that_is_deleted_by_hand_stays_and_the_pair_says_so(
    world: World, operator: Operator, seats: tuple[Seat, Seat]
) -> None:
    world.admin.delete(SERVING_LEASES, "p", world.namespace)
    operator.look()
    assert seats[0].lease().established
    assert "deleted by hand" in world.conditions(PAIRS, "p")["PartnerDown"]["message"]
    seats[0].confirm("Normal")

    world.admin.delete(PAIRS, "p", world.namespace)
    operator.look()
    assert "p" in world.all(SERVING_LEASES), "somebody may still serve under it"
    for seat in seats:
        seat.release()
    operator.look()
    assert "p" not in world.all(SERVING_LEASES)


def test_a_pair_made_again_goes_on_from_its_serving_lease(
    world: World, operator: Operator, seats: tuple[Seat, Seat]
) -> None:
    world.admin.delete(PAIRS, "p", world.namespace)
    for seat in seats:
        seat.release()
    operator.look()
    assert seats[0].lease().established
    for resource in (PODS, protocol.SERVERS, protocol.CONFIG_MAPS):
        for name in world.all(resource):
            if name != "p-ledger":
                world.admin.delete(resource, name, world.namespace, grace_seconds=0)
    bring_up(world, operator)
    assert {seat.grant.start for seat in seats} == {How.RESUME}
    assert condition(world, "PartnerDown") == ("False", "Normal")


def test_constant_renewals_do_not_keep_the_order_from_being_given(operator: Operator, seats: tuple[Seat, Seat]) -> None:
    primary = seats[0]
    operator.look()
    renewed(operator, primary, AFTER - 1)
    operator.wait(1)
    overtaken = []

    def interfere(method: str, path: str) -> None:
        if method == "PUT" and "dhcpservingleases" in path and len(overtaken) < 3:
            overtaken.append(path)
            primary.cut_off(AFTER + len(overtaken))

    operator.observed.before = interfere
    operator.look()
    assert len(overtaken) == 3
    assert primary.lease().order is not UNSET


def test_a_restored_backup_of_the_api_stops_all_grants_until_every_permit_is_over(
    world: World, operator: Operator, seats: tuple[Seat, Seat]
) -> None:
    operator.look()
    for seat in seats:
        seat.seen_epoch = 9
        seat.crash(state="Normal")
        seat.ask()
    operator.look()
    assert condition(world, "PartnerDown") == ("False", "WitnessRolledBack")
    for _ in range(95):
        operator.wait(40)
        for seat in seats:
            seat.ask()
        operator.look()
    assert seats[0].lease().epoch > 9
    assert all(seat.granted for seat in seats)
