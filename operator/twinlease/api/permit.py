"""Who may serve and for how long, and when a survivor takes over."""

from enum import StrEnum
from typing import Annotated

from twinlease.api.rules import between
from twinlease.api.types import Duration, Model, described


class PartnerDownMode(StrEnum):
    """Who takes the step into partner-down."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"
    NEVER = "Never"


class PartnerDown(Model, frozen=True, kw_only=True):
    """When the survivor may take over its partner's addresses."""

    mode: Annotated[
        PartnerDownMode,
        described(
            "Automatic: the operator declares partner-down when the evidence allows it. Manual: it does everything but "
            "that and says what it would do. Never: the pair stays in communications-interrupted."
        ),
    ] = PartnerDownMode.AUTOMATIC
    after: Annotated[
        Duration,
        between("5s", "24h"),
        described("How long one unbroken interruption must have lasted."),
    ] = "5m"


class Isolation(StrEnum):
    """What a server does that can reach neither the API nor its partner."""

    FENCE = "Fence"
    SERVE = "Serve"


class Fence(StrEnum):
    """What enforces the end of a server's permit to answer."""

    KERNEL = "Kernel"
    PROCESS = "Process"


class ServingLeaseTimes(Model, frozen=True, kw_only=True):
    """Durations of the permit to serve; the safety argument needs duration and promise below partnerDown.after."""

    duration: Annotated[
        Duration, between("2s", "12h"), described("How long a server may answer on one renewal of its serving lease.")
    ] = "4m"
    alone_duration: Annotated[
        Duration,
        between("2s", "168h"),
        described("How long a survivor alone may answer on one renewal: longer, so that it outlives an API outage."),
    ] = "1h"
    promise: Annotated[
        Duration,
        between("2s", "12h"),
        described("How long a partner promises not to enter partner-down, in good times."),
    ] = "4m"
    max_promise: Annotated[
        Duration,
        between("2s", "168h"),
        described("How long a partner promises not to enter partner-down while the API is out of reach."),
    ] = "30m"
