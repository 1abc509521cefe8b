"""Runs for other places: bundles for another store, and payloads for MLflow and TensorBoard.

What comes from outside is verified before anything of it is used.
No torch, no SQL and no printing here.
"""
