"""The store for people and programs that ask in SQL: read-only statements, and what views and columns mean.

`sqlite` and `postgres` run one statement each, `column_docs` describes what can be asked.
"""
