"""How the runs of the matrix are shared among labs: each is done once, by one."""

from collections import Counter

from tests.faults import cases
from tests.faults.cli import chosen_runs


def test_every_run_is_done_once_whatever_the_number_of_labs() -> None:
    wanted = cases.named(())
    whole = Counter((case.name, number) for case, number in chosen_runs(wanted, 3, 20))
    shared = Counter(
        (case.name, number) for index in range(4) for case, number in chosen_runs(wanted, 3, 20, (index, 4))
    )
    assert shared == whole
    assert set(shared.values()) == {1}
    assert sum(name == "isolated" for name, _ in whole) == 20
    assert sum(name == "peer-cut" for name, _ in whole) == 3
