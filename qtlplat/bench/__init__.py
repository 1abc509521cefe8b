"""Times what qtlplat computes against the plain way of computing it."""
