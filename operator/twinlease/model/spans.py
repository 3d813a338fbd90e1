"""Sets of IPv4 addresses as runs of numbers, both ends included. Every result is sorted, disjoint and merged."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TypeAlias

Span: TypeAlias = tuple[int, int]
Spans: TypeAlias = tuple[Span, ...]

_GOLDEN = (5**0.5 - 1) / 2


def merge(spans: Iterable[Span]) -> Spans:
    """Return the union; runs that touch become one."""
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def subtract(spans: Sequence[Span], holes: Sequence[Span]) -> Spans:
    """Return what is in the first set and not in the second; both must be results of ``merge``. Linear."""
    left: list[Span] = []
    place = 0
    for span_first, last in spans:
        first = span_first
        while place < len(holes) and holes[place][1] < first:
            place += 1
        hole = place
        while hole < len(holes) and holes[hole][0] <= last:
            if holes[hole][0] > first:
                left.append((first, holes[hole][0] - 1))
            first = holes[hole][1] + 1
            hole += 1
        if first <= last:
            left.append((first, last))
    return tuple(left)


def intersect(spans: Sequence[Span], others: Sequence[Span]) -> Spans:
    """Return what is in both sets; both must be results of ``merge``."""
    return subtract(spans, subtract(spans, others))


def covers(spans: Sequence[Span], address: int) -> bool:
    """Tell whether an address is in a set, a result of ``merge``."""
    place = bisect_right(spans, (address, 1 << 32)) - 1
    return place >= 0 and spans[place][1] >= address


def size(spans: Iterable[Span]) -> int:
    """Return how many addresses a set holds."""
    return sum(last - first + 1 for first, last in spans)


def spread(spans: Sequence[Span], count: int) -> Iterator[int]:
    """Yield up to so many addresses of a set, a result of ``merge``, the first few as evenly spread as all of them."""
    ends = list(accumulate(last - first + 1 for first, last in spans))
    total = ends[-1] if ends else 0
    places = range(total) if total <= count else dict.fromkeys(int(total * (n * _GOLDEN % 1)) for n in range(count))
    for place in places:
        run = bisect_right(ends, place)
        yield spans[run][1] - (ends[run] - 1 - place)
