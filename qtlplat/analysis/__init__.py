"""Numbers and verdicts from what was measured: metrics, tests, intervals, comparisons, audits.

Everything here is a function of records and arrays; the store and torch are unknown.
"""
