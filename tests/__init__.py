"""The tests of twinlease, and the lab they run on."""
