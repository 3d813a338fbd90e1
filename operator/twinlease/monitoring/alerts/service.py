"""Whether clients are served, by how many, and what is in the way of the other."""

from twinlease.monitoring.alert import Alert, Group, Severity
from twinlease.monitoring.promql import (
    COMING_UP,
    EPOCH,
    KNOWN,
    MAINTENANCE,
    PAIR,
    RUNWAY,
    SERVER,
    SERVING,
    THRESHOLD,
    only,
    per_pair,
    per_server,
    told,
    without,
)

_NOBODY = f"""(
  {per_pair("twinlease_pair_serving_servers")} == 0
  or
  {per_pair("twinlease_server_serving")} == 0
)"""
# By its own word a server serves on while the API is away, whatever the operator thinks of it.
_SAYS_SO = f"{per_pair('twinlease_server_serving')} == 1"
_SAID_OF = f"{per_pair('twinlease_pair_serving_servers')} > 0"
_NO_ANSWER = only(
    per_server('twinlease_server_state{state="Unknown"}', "state") + " == 1", "twinlease_server_running == 1"
)
_BRIEF = 'twinlease_server_state{state=~"Startup|PotentialConflict|ConflictDone|RecoverDone|Paused|Shutdown"}'


def _judged(*reasons: str) -> str:
    return per_pair(f'twinlease_pair_verdict{{reason=~"{"|".join(reasons)}"}}', "reason")


GROUP = Group(
    name="twinlease.service",
    alerts=(
        Alert(
            name="TwinleaseNoServerServing",
            expr=without(_NOBODY, _SAYS_SO, _SAID_OF, COMING_UP),
            wait="1m",
            severity=Severity.CRITICAL,
            summary=f"Pair {PAIR}: no server answers clients",
            description=f"{{{{ $value }}}} of 2 servers of {PAIR} are known to answer. Clients keep their addresses "
            "until their leases end; new ones get none.",
        ),
        Alert(
            name="TwinleasePairDegraded",
            expr=without(
                per_pair('twinlease_pair_condition{type="Redundant", status="False", reason!="ComingUp"}'),
                'twinlease_pair_condition{type="PartnerDown", status="True"}',
                MAINTENANCE,
            ),
            wait="5m",
            severity=Severity.WARNING,
            summary=f"Pair {PAIR} is not redundant",
            description=f"The servers of {PAIR} have not been normal together for 5 minutes."
            + SERVING
            + THRESHOLD
            + RUNWAY,
        ),
        Alert(
            name="TwinleasePartnerDown",
            # Not while the other returns: that takes the MCLT, and TwinleaseRecoverOverdue tells if it takes longer.
            expr=without(per_pair('twinlease_pair_phase{phase="Alone"}') + " == 1", MAINTENANCE),
            wait="2m",
            severity=Severity.WARNING,
            summary=f"Pair {PAIR}: one server serves alone, in partner-down",
            description=f"One server of {PAIR} is stopped and revoked, the other was ordered into partner-down. If "
            "that one fails too, nobody serves."
            + told(
                "max(twinlease_server_peer_addresses_usable_in_seconds{PAIR}) > 0",
                " The other's free addresses may be used in FOUND.",
            )
            + RUNWAY,
        ),
        Alert(
            name="TwinleaseNoSafeServer",
            expr=_judged("NoSafeServer"),
            wait="5m",
            severity=Severity.CRITICAL,
            summary=f"Pair {PAIR}: no server may be started safely",
            description=f"A server of {PAIR} asks to start, and may not: the other may be serving, or may have the "
            f"only intact lease database.{SERVING}",
        ),
        Alert(
            name="TwinleaseTakeoverWaiting",
            expr=without(_judged("WaitingForEvidence", "Manual"), MAINTENANCE),
            wait="10m",
            severity=Severity.WARNING,
            summary=f"Pair {PAIR}: partner-down waits for a human ({{{{ $labels.reason }}}})",
            description=f"A server of {PAIR} has been cut off for longer than spec.partnerDown.after and is not put "
            f"into partner-down: {{{{ $labels.reason }}}}. It gives out its own half of the free addresses only."
            + RUNWAY,
        ),
        Alert(
            name="TwinleasePartnerDownByHand",
            expr=_judged("PartnerDownByHand"),
            wait="1m",
            severity=Severity.CRITICAL,
            summary=f"Pair {PAIR}: a server is in partner-down that nobody ordered there",
            description=f"A server of {PAIR} was put into partner-down past the operator. While the other serves, one "
            f"address may be given to two clients.{SERVING}",
        ),
        Alert(
            name="TwinleaseResolutionInterrupted",
            expr=per_server('twinlease_server_state{state="ResolutionInterrupted"}') + " == 1",
            wait="1m",
            severity=Severity.CRITICAL,
            summary=f"Server {SERVER} is silent, in resolution-interrupted",
            description=f"{SERVER} lost its partner while the two settled a conflict. It answers no dynamic client "
            f"until the partner is back, or is proven stopped.{SERVING}{THRESHOLD}",
        ),
        Alert(
            name="TwinleaseServerStuck",
            expr=per_server(_BRIEF, "state") + f" == 1\nor\n(\n{_NO_ANSWER}\n)",
            wait="5m",
            severity=Severity.WARNING,
            summary=f"Server {SERVER} is stuck in {{{{ $labels.state }}}}",
            description=f"{SERVER} has been in {{{{ $labels.state }}}} for 5 minutes, a state of seconds. It "
            f"answers no dynamic client.{SERVING}",
        ),
        Alert(
            name="TwinleaseRecoverOverdue",
            expr=per_server("-twinlease_server_recover_remaining_seconds") + " > 60",
            wait="1m",
            severity=Severity.WARNING,
            summary=f"Server {SERVER} recovers for longer than computed",
            description=f"The wait of {SERVER} (start of its state plus MCLT) should have ended "
            "{{ $value | humanizeDuration }} ago. It answers no dynamic client until it has; its partner serves alone.",
        ),
        Alert(
            name="TwinleasePairNotComingUp",
            expr=per_pair(COMING_UP),
            wait="15m",
            severity=Severity.WARNING,
            summary=f"Pair {PAIR} has never served",
            description=f"{PAIR} was applied more than 15 minutes ago and has not served yet."
            + told(
                'count(twinlease_pair_server_state{PAIR,state!="Unknown"} == 1)', " FOUND of 2 servers report.", "value"
            ),
        ),
        Alert(
            name="TwinleaseWitnessRolledBack",
            expr=_judged("WitnessRolledBack"),
            wait="1m",
            severity=Severity.CRITICAL,
            summary=f"Pair {PAIR}: the API holds an older serving lease than its servers remember",
            description=f"An older copy of the cluster's data was restored under {PAIR}: its servers "
            f"remember a higher epoch. Nobody is granted anything until the longest permit has ended.{EPOCH}",
        ),
        Alert(
            name="TwinleaseLinkFlapping",
            expr=only(per_server("increase(twinlease_server_interruptions_total[1h])") + " > 5.5", KNOWN),
            wait="0s",
            severity=Severity.WARNING,
            summary=f"Server {SERVER} loses its partner again and again",
            description=f'{SERVER} lost contact with its partner {{{{ $value | printf "%.0f" }}}} times within an '
            "hour. Each time new leases become as short as the MCLT, and the wait for partner-down begins anew.",
        ),
    ),
)
