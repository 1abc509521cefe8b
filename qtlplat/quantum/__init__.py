"""Circuits: the function that a user wrote (`circuits`), the `compiler`, PennyLane `devices`, and what to `inspect`.

Next to plugins, this is the only room that knows PennyLane.
Nothing here trains, stores or prints.
"""
