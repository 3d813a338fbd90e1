"""What is expected of alerts is about cases and alerts that there are."""

from tests.e2e.alarms import ALARMS, LATE
from tests.faults import cases
from twinlease.monitoring.alerts import GROUPS

KNOWN = {alert.name for group in GROUPS for alert in group.alerts}


def test_every_case_is_one_of_the_matrix() -> None:
    assert len(cases.named(tuple(ALARMS))) == len(ALARMS)


def test_every_alert_is_one_of_ours_and_none_both_must_and_may() -> None:
    assert set(LATE) <= KNOWN
    for name, alarm in ALARMS.items():
        assert alarm.must | alarm.may <= KNOWN, name
        assert not alarm.must & alarm.may, name
