"""dhcpd as a process of the guard."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.engines.records import DELETED, HEADER, lease
from twinlease.engines.isc.process import IscProcess
from twinlease.engines.process import EditError, server_process


def test_the_command_line() -> None:
    command = IscProcess("/opt/dhcpd").command(interface="eth0", config=Path("/c"), lease_file=Path("/l"))
    assert command == ["/opt/dhcpd", "-f", "-d", "-4", "--no-pid", "-cf", "/c", "-lf", "/l", "eth0"]


def test_the_program_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWINLEASE_DHCPD", raising=False)
    arguments = {"interface": "eth0", "config": Path("/c"), "lease_file": Path("/l")}
    assert server_process("ISC").command(**arguments)[0] == "/usr/sbin/dhcpd"  # type: ignore[arg-type]  # a mixed dict
    monkeypatch.setenv("TWINLEASE_DHCPD", "/opt/dhcpd")
    assert server_process("ISC").command(**arguments)[0] == "/opt/dhcpd"  # type: ignore[arg-type]  # a mixed dict


@pytest.mark.parametrize("interface", ["", "-cf"])
def test_an_interface_is_no_option(interface: str) -> None:
    with pytest.raises(ValueError, match="no name of an interface"):
        IscProcess().command(interface=interface, config=Path("/c"), lease_file=Path("/l"))


@pytest.mark.parametrize("edits", [[], ["strip-reservations"], ["strip-reservations", "strip-reservations"]])
def test_every_start_strips_reservations(edits: list[str], tmp_path: Path) -> None:
    path = tmp_path / IscProcess.lease_file_name
    path.write_bytes(HEADER + DELETED + lease("10.0.0.1", "active"))
    prepared = IscProcess().prepare(path, edits, {})
    assert prepared.changed
    assert "host and group records" in prepared.notes[0]
    assert path.read_bytes() == HEADER + lease("10.0.0.1", "active")
    assert IscProcess().prepare(path, edits, {}) == (False, ())


def test_the_first_start_makes_the_file(tmp_path: Path) -> None:
    prepared = IscProcess().prepare(tmp_path / "dhcpd.leases", [], {})
    assert prepared == (True, ("made an empty lease file",))


def test_an_unknown_edit_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "dhcpd.leases"
    path.write_bytes(DELETED)
    with pytest.raises(EditError, match="unknown edit 'polish'"):
        IscProcess().prepare(path, ["strip-reservations", "polish"], {})
    assert path.read_bytes() == DELETED


def test_no_such_engine() -> None:
    with pytest.raises(ValueError, match="no DHCP engine 'Kea'"):
        server_process("Kea")


def test_the_guards_half_imports_the_standard_library_only() -> None:
    source = (
        "import sys; from twinlease.engines.process import server_process; server_process('ISC'); "
        "print([m for m in sys.modules if m.split('.')[0] not in {*sys.stdlib_module_names, 'twinlease', '__main__'}"
        " and not m.startswith('_')])"
    )
    # -S: no site hooks of the test environment
    paths = [str(Path(sys.modules["twinlease"].__path__[0]).parent)]
    output = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {paths!r}; {source}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert output.strip() == "[]"
