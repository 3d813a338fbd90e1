"""The protocol of ``docs/safety.md`` as an executable model, explored breadth-first. ``make model`` runs it.

Two servers, their disks, guards, sidecars and daemons, the serving lease, the operator, a human, and every fault. **The
decisions are the production code itself**: ``decide.serving.judge`` (with ``partnerdown``, ``starts``, ``evidence``),
``decide.obey.obey``, ``decide.lineage.judge``, ``decide.permit.{Permit, Promiser, reborn}`` run on the real
``ServingLeaseSpec``. What is modelled by hand is the world around them. Read in this order:

==============  ========================================================================================================
``state``       what a state consists of, the durations in ticks, and what is abstracted away
``decisions``   the production functions, and the seam through which one rule at a time is taken away
``server``      one server by itself: daemon, guard, kernel fence, sidecar, disk, boot
``patches``     what a sidecar reads from the serving lease and writes to it
``pairing``     the two together: the failover link, the promise channel
``invariants``  what must never be
``world``       all of it: the successors of a state
``explore``     breadth-first search and traces
``fair``        whether the pair comes back once the faults have ended
``catalogue``   what is explored, and which removal of a rule must be found out
==============  ========================================================================================================

**Time.** One tick is a second for the production code; the durations are a few ticks. Nothing but the guard and the
kernel must act in time: every write, read, message and notice may come at any tick or never. So every partition, every
outage of the API and every delay is in each run without being a fault of its own. Budgeted faults are those that change
something: crashes, freezes, cuts of a link that was up, disks.
"""
