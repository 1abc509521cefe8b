"""What can be said about a circuit without training it: drawing, counts, OpenQASM, simpler forms of it.

OpenQASM that is written is read back and checked here.
Nothing here is needed to train.
"""
