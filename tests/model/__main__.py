"""``make model``: explore every scenario, then take one rule away at a time. DEEP=1 goes on for much longer.

Two processes share the work. Exit status 1: a rule breaks an invariant, or a removal was not found out.
"""

import argparse
import random
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.model.catalogue import BOUNDED, BRIEF, DEEP, FAR, NORMAL, REMOVALS, SAMPLE, Removal
from tests.model.explore import Limits, Result, follow, search
from tests.model.fair import WAITS, endings
from tests.model.world import TICK, Scenario, World


class Run(NamedTuple):
    """A search, and how the pair ended from some of the states that were reached."""

    result: Result
    endings: Counter[str]


def explore(scenario: Scenario, rules: tuple[str, ...], limits: Limits) -> Result:
    """Return what a scenario leads to without some rules."""
    world = World(scenario, frozenset(rules))
    return search(world.start(), world.successors, world.broken, limits)._replace(seen=None)


def explore_and_settle(scenario: Scenario, limits: Limits, sample: int) -> Run:
    """Explore a scenario; then let the faults end in a sample of its states."""
    world = World(scenario)
    found = search(world.start(), world.successors, world.broken, limits)
    reached = list(found.seen or {})
    chosen = random.Random(1).sample(reached, min(sample, len(reached)))  # noqa: S311  # a sample, the same each time
    world.scenario = scenario._replace(prompt=(), quick=False, offline=(), slow=0)
    return Run(found._replace(seen=None), endings(world, chosen))


def readable(result: Result) -> list[str]:
    """Return a counterexample as numbered lines: time in ticks, who, and what happens; then what is broken."""
    lines, now = [], 0
    for number, what in enumerate(result.trace, 1):
        now += what.startswith(TICK)
        lines.append(f"  {number:3}. t={now:<3} {what}")
    return [*lines, f"  => {result.violation}"]


def removal(each: Removal, *, deep: bool) -> Result:
    """Return what the absence of rules leads to."""
    if each.path:
        world = World(each.scenario, frozenset(each.rules))
        return follow(world.start(), world.successors, world.broken, each.path)
    if deep:
        return explore(each.scenario, each.rules, DEEP._replace(states=2_000_000))
    return explore(each.scenario, each.rules, BRIEF if each.covered else FAR)


def main() -> int:
    """Print scenarios and removals."""
    asked = argparse.ArgumentParser(prog="tests.model", description="Explore the model.")
    asked.add_argument("--deep", action="store_true", help="go on for hours, not minutes")
    asked.add_argument("--states", type=int, metavar="N", help="explore so many states of each scenario")
    asked.add_argument("--traces", type=Path, help="write the counterexamples into this directory")
    asked.add_argument("--show", metavar="RULE", help="print the counterexample for one removed rule, and nothing else")
    options = asked.parse_args()
    if options.show:
        for each in REMOVALS:
            if options.show in each.rules:
                print(*each.rules, sep=", ")
                print(*readable(removal(each, deep=options.deep)), sep="\n")
        return 0
    with ProcessPoolExecutor(2) as workers:
        limits = DEEP if options.deep else NORMAL
        limits = limits._replace(states=options.states, seconds=DEEP.seconds) if options.states else limits
        runs = [workers.submit(explore_and_settle, scenario, limits, SAMPLE) for scenario in BOUNDED]
        removed = [workers.submit(removal, each, deep=options.deep) for each in REMOVALS]
        failed = 0
        print(f"{'scenario':<74} {'states':>9} {'events':>6} {'s':>6} {'explored':<10} ends in")
        for scenario, run in zip(BOUNDED, runs, strict=True):
            failed += _scenario(scenario, run.result())
        print(f"\n{'without the rule':<74} {'states':>9} {'events':>6} {'s':>6}")
        for each, without in zip(REMOVALS, removed, strict=True):
            failed += _removal(each, without.result(), options.traces)
    return 1 if failed else 0


def _scenario(scenario: Scenario, run: Run) -> int:
    found = run.result
    end = "UNSAFE" if found.violation else "all of it" if found.exhausted else "bounded"
    print(
        f"{scenario.name:<74} {found.states:>9,} {found.depth:>6} {found.seconds:>6.1f} {end:<10} {_counted(run)}",
        flush=True,
    )
    if found.violation:
        print(*readable(found), sep="\n")
    return bool(found.violation or set(run.endings) - {"Normal", *WAITS})


def _counted(run: Run) -> str:
    return ", ".join(f"{count} {what}" for what, count in run.endings.most_common())


def _removal(each: Removal, found: Result, traces: Path | None) -> int:
    name = ", ".join(each.rules)
    end = (
        f"found, {len(found.trace)} events"
        if found.violation
        else f"none ({each.covered})"
        if each.covered
        else "NOT FOUND OUT"
    )
    print(f"{name:<74} {found.states:>9,} {found.depth:>6} {found.seconds:>6.1f} {end}", flush=True)
    if traces and found.violation:
        traces.mkdir(parents=True, exist_ok=True)
        lines = [f"Without: {name}", *readable(found), ""]
        (traces / f"{name.replace(' ', '-').replace(',', '')}.txt").write_text("\n".join(lines))
    return not found.violation and not each.covered


if __name__ == "__main__":
    sys.exit(main())
