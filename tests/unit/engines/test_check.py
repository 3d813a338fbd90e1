"""What becomes of dhcpd's verdict."""

from pathlib import Path

import pytest

from twinlease.engines.isc.check import check, message_of, version
from twinlease.engines.protocol import CheckError, CheckResult

BANNER = (
    "Internet Systems Consortium DHCP Server 4.4.3-P1\n"
    "Copyright 2004-2022 Internet Systems Consortium.\n"
    "All rights reserved.\n"
    "For info, please visit https://www.isc.org/software/dhcp/\n"
)
FAREWELL = (
    "\nIf you think you have received this message due to a bug rather\nthan a configuration issue please read the\n"
    "\nexiting.\n"
)


def program(tmp_path: Path, body: str) -> str:
    path = tmp_path / "dhcpd"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_the_message_is_dhcpds_own_without_its_frame() -> None:
    said = (
        f"{BANNER}/run/x/candidate/ab line 10: semicolon expected.\n  mclt\n   ^\n"
        f"Configuration file errors encountered -- exiting\n{FAREWELL}"
    )
    assert message_of(said, "/run/x/candidate/ab") == (
        "line 10: semicolon expected.\n  mclt\n   ^\nConfiguration file errors encountered -- exiting"
    )


def test_a_message_about_an_included_file_keeps_its_path() -> None:
    assert message_of(f"{BANNER}/run/x/key.conf line 1: no\n", "/run/x/dhcpd.conf") == "/run/x/key.conf line 1: no"


def test_a_long_message_is_cut_at_a_line() -> None:
    message = message_of("".join(f"line {n}: semicolon expected.\n" for n in range(500)), "/c")
    assert len(message) < 2100
    assert message.startswith("line 0: semicolon expected.\nline 1: ")
    assert message.endswith("semicolon expected.\n(and more)")


def test_no_word_is_still_a_message() -> None:
    assert message_of(BANNER + FAREWELL, "/c") != ""


def test_the_verdict_is_the_exit_status(tmp_path: Path) -> None:
    accepting = program(tmp_path, 'echo "warning" >&2; exit 0')
    assert check(tmp_path / "c", program=accepting) == CheckResult(accepted=True, message="")
    refusing = program(tmp_path, f'[ "$*" = "-t -4 -cf {tmp_path}/c" ] && echo "$4 line 1: no" >&2; exit 1')
    assert check(tmp_path / "c", program=refusing) == CheckResult(accepted=False, message="line 1: no")


def test_the_program_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINLEASE_DHCPD_CHECK", program(tmp_path, "echo isc-dhcpd-4.4.9 >&2"))
    assert version() == "4.4.9"


@pytest.mark.parametrize(
    ("body", "message"), [("exec sleep 60", "gave no answer within 0.2 s"), ("kill -9 $$", "killed by signal 9")]
)
def test_no_verdict_is_no_rejection(body: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=message):
        check(tmp_path / "c", program=program(tmp_path, body), timeout=0.2)


def test_no_version(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="does not tell its version"):
        version(program=program(tmp_path, "exit 0"))
