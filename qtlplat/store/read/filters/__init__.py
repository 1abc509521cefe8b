"""Filters, orders and references over what is stored: ``head = 'x' and f1 > 0.9``, ``-f1``, ``@best:f1``."""
