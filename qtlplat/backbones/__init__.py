"""Backbones: networks that are pretrained, frozen, and cut before their dense layers.

A backbone is assembled (`model`), trained (`trainer`, `pretrain`), and turned into features of images (`features`).
Convolutions that are faster on CPUs belong here as well; runs, heads and the command line do not.
"""
