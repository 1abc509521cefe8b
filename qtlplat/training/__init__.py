"""Pretraining backbones, computing frozen features, training heads, and the order of it all."""
