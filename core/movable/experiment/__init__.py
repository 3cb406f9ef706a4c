"""Experiments: a question, a machine, what is done to it, and what is measured.

`run` is the whole of it; see runner.py.
"""
