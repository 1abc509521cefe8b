"""From a recorded circuit to a batched, differentiable torch program.

The way of a circuit: `tape`, `gates` and `angle_expressions`, `schedule`, `layout`, `tables`, `program`.
No PennyLane device is used here.
"""
