"""Conducts a run: the system made ready, generators started, faults done, everybody watched and judged."""
