"""Metrics and parameter counts: numbers made from stored or measured values."""
