"""Everything that asks a store and changes nothing: queries, filters, SQL, and JSON forms of records.

`queries` returns records, `filters` turns text into selections, `sql` runs a user's statement read-only.
Nothing here may import `write` or `maintenance`.
"""
