"""The agent beside each server: brings it up, keeps it on the wanted configuration, renews its permit, reports.

It holds no capability and touches the server only through the guard, so it may crash, restart or be upgraded at any
time. Level-triggered: ``observed`` is one immutable snapshot; ``plan`` says the next step, ``ownpart`` the own part of
the serving lease, ``report`` the status; all are pure. ``agent`` is the loop around them, ``looking`` and ``doing`` its
eyes and hands; ``renewal``, ``peer`` and ``watcher`` are threads that it never waits for.
"""
