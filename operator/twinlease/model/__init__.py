"""Pure data: validated pairs, pools and reservations, failover states, durations, decisions. No I/O, no clock."""
