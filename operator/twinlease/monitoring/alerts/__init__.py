"""All alerts, in the order in which they matter."""

from twinlease.monitoring.alerts import leases, permit, service, upkeep

GROUPS = (service.GROUP, leases.GROUP, permit.GROUP, upkeep.GROUP)
