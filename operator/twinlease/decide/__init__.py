"""Decisions, pure: a snapshot in, a ``Decision`` out; no I/O, no clock, no client.

Partner-down, in the order in which to read it, ten minutes:

1. ``permit``: until when a server may answer, and what it has promised its partner.
2. ``evidence``: whether a server counts as stopped, and what is missing.
3. ``partnerdown``: when the survivor is ordered, and the one write that does it.
4. ``obey``: what the survivor's sidecar makes of the order.
5. ``starts``: how whoever asks may come back; ``byhand``, ``lineage`` and ``clocks`` are its special cases.
6. ``serving``: one look at a pair, which asks all of the above in the order of their urgency.

``pairview`` is the snapshot that they look at, ``dates`` and ``hold`` are arithmetic on times. What must never change
is said in the head of each module; why it is enough, in ``docs/safety.md``.

Everything else here is about configurations: ``acceptance`` (what counts when somebody edits), ``ledger`` (who may
still hold an address), ``rollout`` (who changes next), ``placement`` (where a server runs), ``review`` (a file, judged
before it is applied).
"""
