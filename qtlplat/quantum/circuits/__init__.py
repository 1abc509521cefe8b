"""A circuit's function as the user wrote it: called with one sample, and what it returns.

`samples` decides how it takes inputs, `constancy` checks that it depends on its arguments only, `readings` evaluates
measurements. How a circuit is simulated belongs to `compiler` and `devices`.
"""
