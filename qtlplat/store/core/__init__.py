"""What all of the store stands on: schema, columns, records, locations, files, locks and digests.

`database` opens a store, `schema` declares its tables, `records` are the plain values that are read.
No query for a command and no write of a run belongs here.
"""
