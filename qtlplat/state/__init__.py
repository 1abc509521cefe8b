"""The state of training on disk: weights, optimizers, snapshots and checkpoints, and epochs as plain numbers.

Everything here is bitwise: what is loaded equals what was saved.
What is trained, and when a checkpoint is due, others decide.
"""
