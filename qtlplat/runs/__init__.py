"""A run from its plan to its stored result, and everything done to a run afterwards.

`prepare` checks and loads, `execute` trains and writes, `resume` and `replay` build on both.
Only this room knows the order of the stages; the command line and the Python API call it.
"""
