"""Training heads on frozen features, all cells and variants of a run in lockstep.

`fit` is the entrance, `lockstep` the loop over epochs, `stack` the step that trains the heads of many cells as one.
Nothing here knows the store, plans or plugins beyond the modules that it is given.
"""
