"""Every case of the fault matrix."""

from tests.faults.case import Case
from tests.faults.cases import clocks, control, disks, network, processes

ALL: tuple[Case, ...] = (*processes.CASES, *network.CASES, *disks.CASES, *control.CASES, *clocks.CASES)
"""In the order in which they are run."""


def named(names: tuple[str, ...]) -> tuple[Case, ...]:
    """Return the cases of these names, in the order of `ALL`; all if none is named.

    Raises:
        ValueError: There is no case of a name.
    """
    known = {each.name for each in ALL}
    if unknown := [each for each in names if each not in known]:
        raise ValueError(f"no case {', '.join(unknown)}; there are: {', '.join(each.name for each in ALL)}")
    return tuple(each for each in ALL if not names or each.name in names)
