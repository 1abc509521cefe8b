"""What runs a circuit: the compiler or a PennyLane device, and how its derivatives are computed.

`engines` chooses by measuring, `choice` finds a way that works on a device, `verification` compares it with
`default.qubit`. Nothing here trains; a head gets a `layer`.
"""
