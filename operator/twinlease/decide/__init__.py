"""Decisions, pure: a snapshot in, a ``Decision`` out; no I/O, no clock, no client."""
