"""The revisions, oldest first. A published one never changes: each says in plain DDL what it did."""
