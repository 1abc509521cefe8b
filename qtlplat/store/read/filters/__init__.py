"""Filters, orders and references over what is stored: ``head = 'x' and f1 > 0.9``, ``-f1``, ``@best:f1``.

`language` reads text into comparisons, `fields` and `selection` turn them into a SELECT with bound values.
"""
