"""A store behind a PostgreSQL server that may be away for a while."""
