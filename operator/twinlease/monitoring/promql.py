"""Parts of PromQL and of annotations that many alerts share.

Both replicas of the operator, and the same one after a restart, say the same under another ``instance``: whatever an
alert selects is brought down to the labels that name what is wrong.
"""

import re

PAIR = "{{ $labels.namespace }}/{{ $labels.pair }}"
"""The pair, in an annotation."""
SERVER = "{{ $labels.namespace }}/{{ $labels.server }}"
"""The server, in an annotation."""

MAINTENANCE = "max by (namespace, pair) (last_over_time(twinlease_server_maintenance[4h])) == 1"
"""Pairs of which a server is stopped on request; its node may be off, then nobody says so any more."""

IN_MAINTENANCE = "max by (namespace, pair, server) (last_over_time(twinlease_server_maintenance[4h])) == 1"
"""The servers themselves that are stopped on request."""

REVOKED = 'twinlease_pair_survivor == 0 and on (namespace, pair) twinlease_pair_phase{phase="Alone"} == 1'
"""Of pairs that serve alone, by role, the one that does not serve."""

KNOWN = "twinlease_server_running"
"""Servers of which anything is heard: what only rose in the past is nobody's fault any more once they are gone."""

NOT_EXPORTED = "twinlease_pair_metrics_port == 0"
"""Pairs of which no sidecar is to be scraped."""

PROCESS_FENCE = "max by (namespace, pair) (last_over_time(twinlease_pair_kernel_fence_wanted[4h])) == 0"
"""Pairs for which the guard's kill is enough; while no operator leads, nobody says so any more."""

COMING_UP = 'twinlease_pair_condition{type="Available", status="False", reason="ComingUp"}'
"""Pairs that have never served."""

NORMAL = 'min by (namespace, pair) (twinlease_server_state{state="Normal"}) == 1'
"""Pairs whose servers that can be scraped are all normal."""

OF_SERVER = ("namespace", "pair", "server")
OF_POOL = ("namespace", "pair", "pool")


def per_pair(selected: str, *more: str) -> str:
    """Return what is selected, once for each pair and value of ``more``."""
    return f"max by ({', '.join(('namespace', 'pair', *more))}) ({selected})"


def per_server(selected: str, *more: str) -> str:
    """Return what is selected, once for each server and value of ``more``."""
    return per_pair(selected, "server", *more)


def without(selected: str, *excluded: str) -> str:
    """Return what is selected but of pairs for which something else holds."""
    return "".join((selected, *(f"\nunless on (namespace, pair) ({each})" for each in excluded)))


def only(selected: str, where: str, labels: tuple[str, ...] = OF_SERVER) -> str:
    """Return what is selected where something else holds of the same ``labels``."""
    return f"{selected}\nand on ({', '.join(labels)}) ({where})"


def lately(counter: str, span: str, more: str) -> str:
    """Return by how much a counter of a server rose within a span; one that begins above 0 rose by that.

    A counter that appears with its first event has no earlier value from which Prometheus could see it rise. Earlier
    means within a day: what Prometheus itself missed for a while is nothing new. Of a server of which nothing is heard
    any more nothing is told: its pair may be deleted.
    """
    risen = per_server(f"increase({counter}[{span}])", more)
    appeared = per_server(f"{counter} unless {earlier(counter, span)}", more)
    return only(f"(\n  {risen} > 0\n  or\n  {appeared} > 0\n)", KNOWN)


def earlier(counter: str, span: str) -> str:
    """Return a counter as it was a span ago, or when it was last heard of within a day before that."""
    return f"last_over_time({counter}[1d] offset {span})"


def told(expr: str, text: str, how: str = "value | humanizeDuration") -> str:
    """Return a sentence of an annotation with something that is asked for; nothing where there is none.

    Args:
        expr: ``PAIR`` and ``SERVER`` stand for the matchers of the alert's own.
        text: What is said; ``FOUND`` stands for what was found.
        how: The template's functions that write the first series that was found.
    """
    asked = expr.replace("PAIR", "namespace=%q,pair=%q").replace("SERVER", "namespace=%q,server=%q")
    names = {"PAIR": " $labels.namespace $labels.pair", "SERVER": " $labels.namespace $labels.server"}
    arguments = "".join(names[each] for each in re.findall("PAIR|SERVER", expr))
    query = '{{ with printf "' + asked.replace('"', '\\"') + '"' + arguments + " | query }}"
    return query + text.replace("FOUND", "{{ . | first | " + how + " }}") + "{{ end }}"


SERVING = told("max(twinlease_pair_serving_servers{PAIR})", " FOUND of 2 servers answer clients.", "value")
RUNWAY = told(
    "min(twinlease_pool_runway_seconds{PAIR} and on (server) twinlease_server_serving{PAIR} == 1) < +Inf",
    " At the present rate the first pool runs out of free addresses in FOUND.",
)
THRESHOLD = told("max(twinlease_pair_takeover_in_seconds{PAIR}) > 0", " Partner-down is considered in FOUND.")
EPOCH = told("max(twinlease_pair_epoch{PAIR})", " The serving lease is at epoch FOUND.", 'value | printf "%.0f"')
PERMIT = told("max(twinlease_server_permit_remaining_seconds{SERVER}) < +Inf", " Its permit ends in FOUND.")
