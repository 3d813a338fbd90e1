"""Measurements of twinlease on the lab: time to serve, cost at rest, throughput beside a bare pair."""
