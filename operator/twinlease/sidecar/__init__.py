"""The agent beside each server: brings it up, keeps it on the wanted configuration, reports what it sees.

It holds no capability and touches the server only through the guard, so it may crash, restart or be upgraded at any
time. Level-triggered: ``observed`` is one immutable snapshot, ``plan`` says the next step, ``report`` says the status;
both are pure. ``agent`` is the loop around them.
"""
