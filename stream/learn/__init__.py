"""The learner: pure computation over preallocated arrays; no I/O, no clock, no index."""
