"""The log is counted whole, wherever its chunks end."""

from hypothesis import given
from hypothesis import strategies as st

from twinlease.engines.isc.logged import tally
from twinlease.guard.counts import Counts

LINES = st.lists(
    st.sampled_from([b"DHCPACK on 10.0.0.1\n", b"DHCPNAK on 10.0.0.1\n", b"DHCPACK\n", b"\n", b"x" * 3000 + b"\n"])
)


@given(LINES, st.lists(st.integers(1, 4000), min_size=1))
def test_chunks_change_nothing(lines: list[bytes], sizes: list[int]) -> None:
    log, counts, at = b"".join(lines), Counts(tally), 0
    for number in range(len(log)):
        size = sizes[number % len(sizes)]
        counts.log(log[at : at + size])
        at += size
        if at >= len(log):
            break

    wanted = {"ack": lines.count(b"DHCPACK on 10.0.0.1\n"), "nak": lines.count(b"DHCPNAK on 10.0.0.1\n")}
    assert counts.status()["events"] == {name: number for name, number in wanted.items() if number}


def test_a_line_without_an_end_is_kept_short_and_counts_when_it_ends() -> None:
    counts = Counts(tally)
    counts.log(b"DHCPACK on ")
    for _ in range(100):
        counts.log(b"x" * 65536)
    assert counts.status()["events"] == {}
    counts.log(b"\n")
    assert counts.status()["events"] == {"ack": 1}


def test_ends_and_edits() -> None:
    counts = Counts(tally)
    for reason in ("Stopped", "PermitEnded", "Stopped"):
        counts.exited(reason)
    counts.edited()
    assert counts.status() == {"events": {}, "exits": {"Stopped": 2, "PermitEnded": 1}, "edits": 1}
