"""Times what qtlplat computes against the plain way of computing it.

Engines are timed in turn in one process, so that other load meets all of them.
Nothing measured here is stored.
"""
