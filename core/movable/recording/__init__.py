"""Recordings of a real kernel: read one, run it through the engine, write the outcome, compare."""
