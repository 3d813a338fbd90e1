"""What the sidecar takes from its environment."""

import pytest

from twinlease.sidecar.settings import SettingsError, from_environment

POD = {"TWINLEASE_SERVER": "lan-primary", "POD_NAMESPACE": "ns", "POD_UID": "u"}


def test_metrics_are_served_where_the_pod_says_and_only_then() -> None:
    silent = from_environment(POD)
    told = from_environment({**POD, "TWINLEASE_METRICS_PORT": "7913", "POD_IP": "192.0.2.7"})

    assert silent.metrics_port == 0
    assert (told.metrics_address, told.metrics_port) == ("192.0.2.7", 7913)


@pytest.mark.parametrize("port", ["", "-1", "65536", "x", "٣"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(SettingsError, match="TWINLEASE_METRICS_PORT is"):
        from_environment({**POD, "TWINLEASE_METRICS_PORT": port, "POD_IP": "192.0.2.7"})


@pytest.mark.parametrize("address", [{}, {"POD_IP": ""}], ids=["unset", "empty"])
def test_metrics_without_an_address_are_served_nowhere_rather_than_everywhere(address: dict[str, str]) -> None:
    assert from_environment({**POD, **address, "TWINLEASE_METRICS_PORT": "7913"}).metrics_port == 0
