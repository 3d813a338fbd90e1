"""The failover protocol's parameters."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from twinlease.api.rules import between, matching, rule, validations
from twinlease.api.types import Duration, Model, described


class Failover(Model, frozen=True, kw_only=True):
    """The failover protocol's parameters (draft-ietf-dhc-failover-12), the same on both sides by construction."""

    mclt: Annotated[
        Duration,
        between("5s", "24h"),
        described(
            "Maximum client lead time: how far a server may extend a lease beyond what its partner has acknowledged. "
            "After partner-down the partner's addresses stay untouched for this long; while the link is down new "
            "leases are this short."
        ),
    ] = "30m"
    split: (
        Annotated[
            int,
            Meta(ge=0, le=256),
            described(
                "Share of the clients that the primary answers, in 256ths of the hash space: 128 is half, 256 all. "
                "128 unless hba is set."
            ),
        ]
        | UnsetType
    ) = UNSET
    hba: (
        Annotated[
            str,
            Meta(max_length=95),
            matching("^([0-9a-fA-F]{2}:){31}[0-9a-fA-F]{2}$", "be 32 octets of two hexadecimal digits, with colons"),
            described(
                "Hash bucket assignments instead of split: 32 colon-separated octets, one bit for each of the 256 "
                "buckets (RFC 3074); a set bit is the primary's."
            ),
        ]
        | UnsetType
    ) = UNSET
    max_response_delay: Annotated[
        Duration,
        between("3s", "10m"),
        described(
            "Silence on the failover link after which it is taken for broken. Not below 3s: servers call each other "
            "every third of it in whole seconds, and would call without pause."
        ),
    ] = "30s"
    max_unacked_updates: Annotated[
        int,
        # In the schema only: an object of an earlier version, which may say more, is to be read all the same.
        Meta(ge=1, extra_json_schema={"maximum": 3}),
        described("Unacknowledged binding updates on their way: 1 to 3, for with more dhcpd acknowledges late."),
    ] = 3
    load_balance_max_seconds: Annotated[
        int,
        Meta(ge=0, le=255),
        described(
            "A client that has tried for longer than this many seconds is answered by both servers. Network boot "
            "suffers above 3: UEFI then waits 36 s for a partner that died unnoticed. 0 switches the sharing off: "
            "both answer everybody."
        ),
    ] = 3


FAILOVER_RULES = validations(
    rule(
        "!(has(self.split) && has(self.hba))",
        "must not be set beside split, which says the same: remove one of them",
        path=".hba",
        value="self.hba",
    )
)
