"""dhcpd's own verdict on a configuration, and its version: short runs of a copy without capabilities."""

import os
import re
import subprocess
from pathlib import Path

from twinlease.engines.protocol import CheckError, CheckResult

PROGRAM_VARIABLE = "TWINLEASE_DHCPD_CHECK"
DEFAULT_PROGRAM = "/usr/lib/twinlease/dhcpd-check"
TIMEOUT_SECONDS = 30.0
"""Bound of one run: 100,000 reservations take 0.8 s on an idle core."""

_MESSAGE_CHARACTERS = 2000
_BANNER = re.compile(
    r"(?:Internet Systems Consortium DHCP Server|Copyright |All rights reserved|For info, please visit"
    r"|Config file: |Database file: |PID file: ).*"
)
_CLOSING = re.compile(r"(?:If you think you have received this message due to a bug|exiting\.$)")


def check(config: Path, *, program: str | None = None, timeout: float = TIMEOUT_SECONDS) -> CheckResult:
    """Have dhcpd's parser judge a configuration file, with all that it includes.

    Raises:
        CheckError: There is no verdict: the program cannot be run, was killed, or took longer than the timeout.
    """
    ended = _run([_program(program), "-t", "-4", "-cf", str(config)], timeout)
    if ended.returncode < 0:
        raise CheckError(f"dhcpd -t was killed by signal {-ended.returncode}")
    if ended.returncode == 0:
        return CheckResult(accepted=True, message="")
    return CheckResult(accepted=False, message=message_of(ended.stderr, str(config)))


def version(*, program: str | None = None) -> str:
    """Return dhcpd's version, like ``4.4.3-P1``.

    Raises:
        CheckError: The program cannot be run, or says something else.
    """
    ended = _run([_program(program), "--version"], TIMEOUT_SECONDS)
    match = re.search(r"isc-dhcpd-(\S+)", ended.stderr + ended.stdout)
    if match is None:
        raise CheckError("dhcpd does not tell its version")
    return match[1]


def message_of(output: str, config: str) -> str:
    """Return what dhcpd complains of, without its banner, its farewell and the path of our own file."""
    kept = []
    for line in output.splitlines():
        if _CLOSING.match(line):
            break
        if not _BANNER.fullmatch(line):
            kept.append(
                line.removeprefix(config).rstrip().removeprefix(" ") if line.startswith(config) else line.rstrip()
            )
    text = "\n".join(kept).strip("\n")
    if len(text) > _MESSAGE_CHARACTERS:
        text = text[:_MESSAGE_CHARACTERS].rsplit("\n", 1)[0] + "\n(and more)"
    return text or "dhcpd refuses the configuration without a word"


def _program(program: str | None) -> str:
    return program or os.environ.get(PROGRAM_VARIABLE) or DEFAULT_PROGRAM


def _run(argv: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise CheckError(f"{argv[0]} cannot be run: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise CheckError(f"{argv[0]} gave no answer within {timeout:g} s") from error
