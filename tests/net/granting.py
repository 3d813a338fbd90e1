"""An operator that does nothing but judge one pair's serving lease: the real decisions on a fake API."""

import threading
import time
from types import TracebackType
from typing import Any, Self

from msgspec import Struct, convert, to_builtins
from msgspec.structs import replace

from tests.net.apiserver import FakeApi
from twinlease.api.servinglease import Bound, ServingLeaseSpec
from twinlease.decide import serving
from twinlease.decide.evidence import stopped
from twinlease.decide.pairview import Policy, Sight, View, entry
from twinlease.model import durations
from twinlease.model.states import Role

LEASES, NAME = "dhcpservingleases", "lan"
QUICK = Policy(after=8.0, duration=5.0, alone=20.0, promise=4.0, max_promise=12.0)
"""Short times that keep the inequalities of a real policy."""
CALM = Policy(after=300.0, duration=240.0, alone=3600.0, promise=240.0, max_promise=1800.0)


class _Seen(Struct):
    own: tuple[str, int] = ("", 0)
    at: float = 0.0
    changed: bool = False
    gone: float | None = None


class Operator:
    """Judges several times a second, in a thread of its own, for the length of a block.

    Attributes:
        paused: True: it does nothing.
        marks: What a human says of a server, as fields of its sight.
        verdicts: Every verdict, without repetitions.
    """

    def __init__(self, api: FakeApi, policy: Policy, max_lease: int = 600) -> None:
        self.paused = False
        self.marks: dict[Role, dict[str, bool]] = {role: {} for role in Role}
        self.verdicts: list[str] = []
        self.policy = policy
        self._api = api
        self._seen = {role: _Seen(at=time.monotonic()) for role in Role}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        bound = Bound(duration=durations.text(max_lease))
        lease = ServingLeaseSpec(max_lease=bound, mclt=Bound(duration="30s"))
        if (LEASES, NAME) not in api.objects:
            api.put(LEASES, NAME, spec=to_builtins(lease))

    @property
    def lease(self) -> ServingLeaseSpec:
        """The serving lease as it is."""
        return convert(self._api.read(LEASES, NAME)["spec"], ServingLeaseSpec)

    def own(self, role: Role) -> Any:  # noqa: ANN401  # as short as it reads
        """A server's own part."""
        return entry(self.lease, role).own

    def grant(self, role: Role) -> Any:  # noqa: ANN401  # as short as it reads
        """The operator's part of a server's entry."""
        return entry(self.lease, role).grant

    def write(self, lease: ServingLeaseSpec) -> None:
        """Write the serving lease, whatever it is."""
        self._api.put(LEASES, NAME, spec=to_builtins(lease))

    def revoke(self, role: Role) -> None:
        """Take a server's grant away, with a rise of the epoch as every revocation, and judge no more."""
        self.paused = True
        lease = self.lease
        servers = lease.servers
        changed = replace(entry(lease, role), grant=replace(entry(lease, role).grant, holder="", node=""))
        self.write(replace(lease, epoch=lease.epoch + 1, servers=replace(servers, **{str(role): changed})))

    def turn(self) -> None:
        """Judge once."""
        found = self._api.read(LEASES, NAME)
        lease = convert(found["spec"], ServingLeaseSpec)
        bare = View(
            lease=lease, sights={role: self._sight(lease, role) for role in Role}, policy=self.policy, now=time.time()
        )
        sights = {role: replace(bare.sights[role], gone=self._gone(bare, role)) for role in Role}
        judgement = serving.judge(replace(bare, sights=sights))
        said = f"{judgement.verdict.reason}: {judgement.verdict.message}"
        if not self.verdicts or self.verdicts[-1].split(":")[0] != said.split(":", maxsplit=1)[0]:
            self.verdicts.append(said)
        if judgement.lease is not None:
            self._api.replace(LEASES, NAME, found["metadata"]["resourceVersion"], to_builtins(judgement.lease))

    def _sight(self, lease: ServingLeaseSpec, role: Role) -> Sight:
        own, seen, now = entry(lease, role).own, self._seen[role], time.monotonic()
        mark = (own.incarnation, own.renewal)
        if seen.own != mark:
            seen.changed = seen.at > 0
            seen.own, seen.at = mark, now
        age = now - seen.at
        return Sight(age=age if seen.changed else float("inf"), silent=age, **self.marks[role])

    def _gone(self, view: View, role: Role) -> float:
        seen, now = self._seen[role], time.monotonic()
        if not stopped(view, role):
            seen.gone = None
            return 0.0
        seen.gone = now if seen.gone is None else seen.gone
        return now - seen.gone

    def _run(self) -> None:
        while not self._ending.wait(0.05):
            if not self.paused:
                self.turn()

    def __enter__(self) -> Self:
        """Begin to judge."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Judge no more."""
        self._ending.set()
        self._thread.join(5)
