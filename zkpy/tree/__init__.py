"""The tree as a pure state machine: no clock, no I/O, no randomness."""
