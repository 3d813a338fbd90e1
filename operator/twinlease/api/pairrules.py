"""CEL rules on a pair's whole specification: what its two servers must not share, which duration bounds which."""

from twinlease.api.rules import is_duration, not_longer, rule, validations


def _with_margin(field: str) -> dict[str, str]:
    """Return the rule that a takeover can happen at partnerDown.after: what runs out then has a margin for drift."""
    mine, after = f"self.servingLease.{field}", "self.partnerDown.after"
    return rule(
        f"!({is_duration(mine)} && {is_duration(after)}) || "
        f"duration({mine}).getSeconds() * 101 + 100 <= duration({after}).getSeconds() * 100",
        "plus 1 % plus 1s must not exceed spec.partnerDown.after",
        path=f".servingLease.{field}",
        value=f"{mine} + ' with ' + {after}",
    )


def _at_least(longer: str, shorter: str) -> dict[str, str]:
    """Return the rule that one duration of the serving lease is not below another."""
    return rule(
        not_longer(f"self.servingLease.{shorter}", f"self.servingLease.{longer}"),
        f"must not be shorter than spec.servingLease.{shorter}",
        path=f".servingLease.{longer}",
        value=f"self.servingLease.{longer} + ' with ' + self.servingLease.{shorter}",
    )


def _differs(field: str, why: str) -> dict[str, str]:
    """Return the rule that the two peers do not share a value."""
    return rule(
        f"!(has(self.primary.{field}) && has(self.secondary.{field})) || "
        f"self.primary.{field} != self.secondary.{field}",
        f"must differ from spec.primary.{field}: {why}",
        path=f".secondary.{field}",
        value=f"self.secondary.{field}",
    )


PAIR_RULES = validations(
    _differs("nodeName", "one node's death must not take both servers"),
    _differs("address", "each server has an address of its own"),
    _differs("failoverAddress", "each server has an address of its own"),
    rule(
        "self.primary.failoverPort != self.omapiPort && self.secondary.failoverPort != self.omapiPort",
        "must differ from spec.primary.failoverPort and spec.secondary.failoverPort",
        path=".omapiPort",
    ),
    rule(
        "self.metricsPort == 0 || self.metricsPort >= 1024",
        "must be 1024 or above, for the sidecar has no right to a lower one; or 0, for none",
        path=".metricsPort",
    ),
    rule(
        "!(self.metricsPort in [self.omapiPort, self.primary.failoverPort, self.secondary.failoverPort])",
        "must differ from spec.omapiPort, spec.primary.failoverPort and spec.secondary.failoverPort",
        path=".metricsPort",
    ),
    rule(
        "!(has(self.primary.maintenance) && self.primary.maintenance && has(self.secondary.maintenance) && "
        "self.secondary.maintenance)",
        "must be false while spec.primary.maintenance is true: one of them has to serve",
        path=".secondary.maintenance",
    ),
    _with_margin("duration"),
    _with_margin("promise"),
    _at_least("maxPromise", "promise"),
    _at_least("aloneDuration", "duration"),
)
