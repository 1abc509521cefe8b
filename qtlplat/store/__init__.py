"""The experiment store: one schema, one writer, one reader, in a SQLite file or behind a PostgreSQL server.

It knows records and errors, never torch, plugins or the meaning of a plan.
Reading is in `read`, writing in `write`, work on whole stores in `maintenance`; all stand on `core` and `backends`.
"""
