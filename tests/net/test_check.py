"""What the real dhcpd says of our configurations."""

from pathlib import Path

import pytest

from tests.lab.shell import program
from tests.net.jig import SECRET
from tests.unit.engines.cases import CASES
from twinlease.engines.isc.engine import IscEngine
from twinlease.engines.protocol import CheckError
from twinlease.model.states import Role


@pytest.fixture
def engine(tmp_path: Path) -> IscEngine:
    made = IscEngine(key_include=str(tmp_path / "key.conf"), check_program=program("dhcpd"))
    made.write_credentials(tmp_path, SECRET)
    return made


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("case", CASES)
def test_every_golden_configuration_is_accepted(case: str, role: Role, engine: IscEngine, tmp_path: Path) -> None:
    golden = Path(__file__).parents[1] / "unit" / "engines" / "golden" / f"{case}.{role}.conf"
    config = tmp_path / "dhcpd.conf"
    text = golden.read_text()
    key_file = IscEngine().render(CASES[case], role).partition('include "')[2].partition('"')[0]
    assert key_file in text
    config.write_text(text.replace(key_file, str(tmp_path / "key.conf")))
    verdict = engine.check(config)
    assert (verdict.accepted, verdict.message) == (True, "")


def test_a_rejection_names_the_line_and_nothing_else(engine: IscEngine, tmp_path: Path) -> None:
    config = tmp_path / "dhcpd.conf"
    lines = engine.render(CASES["reference"], Role.PRIMARY).splitlines()
    wrong = lines.index("  max-unacked-updates 3;")
    lines[wrong] = "  max-unacked-updates;"
    config.write_text("\n".join(lines))
    verdict = engine.check(config)
    assert not verdict.accepted
    assert verdict.message.startswith(f"line {wrong + 1}: ")
    assert "max-unacked-updates;" in verdict.message
    assert str(tmp_path) not in verdict.message
    assert "Copyright" not in verdict.message
    assert "bug" not in verdict.message


def test_a_rejection_without_a_line_keeps_its_reason(engine: IscEngine, tmp_path: Path) -> None:
    config = tmp_path / "dhcpd.conf"
    text = engine.render(CASES["empty"], Role.PRIMARY)
    config.write_text(text[: text.index("# No pool has dynamic addresses")])
    verdict = engine.check(config)
    assert not verdict.accepted
    assert "has no referring pools" in verdict.message


def test_no_program_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="cannot be run"):
        IscEngine(check_program=str(tmp_path / "dhcpd")).check(tmp_path / "dhcpd.conf")


def test_version(engine: IscEngine) -> None:
    assert engine.version().startswith("4.4.")
