"""Everything that changes a store: the writer, its operations, and how they reach the database.

A run has one owner at a time (`acquire`), and work that several runs need is done once (`shared_work`).
Reading belongs to `read`, upkeep of whole stores to `maintenance`.
"""
