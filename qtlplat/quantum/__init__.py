"""Circuits: what runs them and what can be said about them without running."""
