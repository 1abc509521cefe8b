"""What differs between SQLite files and PostgreSQL servers, and how a store is created or upgraded.

`postgres`, `address` and `retry` know the server; `bootstrap` and `migrations` make the schema what it must be.
Queries and records do not belong here.
"""
