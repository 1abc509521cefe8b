"""qtlplat in Python: the store's content as records and tables, and runs without a command line.

Its names are found in `qtlplat` itself: ``qtlplat.open_store()``, ``qtlplat.run(...)``.
"""
