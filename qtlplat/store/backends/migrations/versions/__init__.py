"""The revisions, oldest first. A published one never changes.

Each says in plain DDL what it did.
"""
