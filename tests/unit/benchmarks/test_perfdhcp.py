"""perfdhcp's final report, as Debian's kea-admin 2.2.0 prints it."""

import math

import pytest

from benchmarks.perfdhcp import Burst, Load, UnreadableError, command, parse

REPORT = """\
Running: perfdhcp -4 -B -l eth0 -b mac=02:02:00:00:00:00 -R 10000000 -r 1000 -p 5
Scenario: basic.
Multi-thread mode enabled.
***Rate statistics***
Rate: 349.344 4-way exchanges/second, expected rate: 1000

***Malformed Packets***
Malformed packets: 0
***Statistics for: DISCOVER-OFFER***
sent packets: 4999
received packets: 2197
drops: 2802
drops ratio: 56.0512 %
orphans: 1187
rejected leases: 0
non unique addresses: 0

min delay: 1000.333 ms
avg delay: 1025.760 ms
max delay: 1197.548 ms
std deviation: 43.451 ms
collected packets: 1325

***Statistics for: REQUEST-ACK***
sent packets: 2197
received packets: 1747
drops: 450
drops ratio: 20.482 %
orphans: 435
rejected leases: 0
non unique addresses: 0

min delay: 0.575 ms
avg delay: 79.004 ms
max delay: 209.049 ms
std deviation: 64.808 ms
collected packets: 97

"""


def test_a_report_is_read() -> None:
    assert parse(REPORT) == Burst(349.344, begun=4999, offered=2197, completed=1747, delays=(1025.760, 79.004))


def test_a_burst_without_a_reply_has_no_delay() -> None:
    silent = REPORT.partition("***Statistics for: REQUEST")[0].replace("avg delay: 1025.760 ms\n", "")
    silent += "***Statistics for: REQUEST-ACK***\nsent packets: 0\nreceived packets: 0\n"
    burst = parse(silent)
    assert burst.completed == 0
    assert all(math.isnan(each) for each in burst.delays)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "unable to open socket",
        REPORT.replace("Rate: ", "Ratio: "),
        REPORT.partition("***Statistics for: REQUEST-ACK")[0],
        REPORT.replace("received packets", "received"),
    ],
)
def test_anything_else_is_no_measurement(said: str) -> None:
    with pytest.raises(UnreadableError):
        parse(said)


def test_the_load_is_broadcast_and_bounded() -> None:
    words = command(Load(rate=800, seconds=6, clients=4800, host_name="b7"), "eth0")
    assert words[0] == "perfdhcp"
    assert "-B" in words
    assert words[words.index("-p") + 1] == "6"
    assert words[words.index("-R") + 1] == "4800"


def test_each_burst_may_have_a_host_name_of_its_own() -> None:
    one, other = (command(Load(800, 6, 4800, name), "eth0") for name in ("b7", "b8"))
    assert "12,6237" in one
    assert [(a, b) for a, b in zip(one, other, strict=True) if a != b] == [("12,6237", "12,6238")]
