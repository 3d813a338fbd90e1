"""A wall clock of a server's own, which can be set; the boot clock goes on as it is, as a real machine's does."""

import os
from pathlib import Path

from tests.lab import clock
from tests.lab.shell import program


class WallClock:
    """A wall clock that is off by so many seconds.

    Args:
        directory: Where its files are; everybody can read it.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clock"
        self._library = directory / "libclock.so"
        self._dhcpd = directory / "dhcpd-by-clock"
        clock.build(self._library, self._file)
        preload = f"LD_PRELOAD={self._library} exec {program('dhcpd')}"
        self._dhcpd.write_text(f'#!/bin/sh\n{preload} "$@"\n', encoding="utf-8")
        self._dhcpd.chmod(0o755)
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        """What has a guard, and the dhcpd that it starts in an environment of its own, go by it."""
        return {**self.plain, "TWINLEASE_DHCPD": str(self._dhcpd)}

    @property
    def plain(self) -> dict[str, str]:
        """What has any other program go by it."""
        return {"PATH": os.environ["PATH"], "LD_PRELOAD": str(self._library)}

    def set(self, seconds: int) -> None:
        """Let it be off by so many seconds from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds}\n", encoding="ascii")
        new.chmod(0o644)
        new.replace(self._file)
