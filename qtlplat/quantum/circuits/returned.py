"""What to do about a circuit that does not return what it declares."""

RETURN = "let the circuit's function return a list of n_outputs measurements"
