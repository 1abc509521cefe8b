"""Runs for other places: bundles for another store, MLflow, TensorBoard. No torch, no SQL and no printing here."""
