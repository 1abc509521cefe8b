#!/usr/bin/env bash
# default.mixed with read-out errors cannot return two measurements to torch.
#
# Packages: pennylane 0.45.1, torch 2.13.0.
# Behaviour: readout_prob=0.1 and one expectation value works. With two the circuit ends in
#   "TypeError: 'float' object is not iterable", without torch parameters as well as with them; without read-out errors
#   both work.
# Guess before the run: two expectation values, each shrunk by 1 - 2 * 0.1.
# Seen: see the expected output at the end.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.13.0 pennylane==0.45.1 2> "$dir/pip.log" || { cat "$dir/pip.log"; exit 1; }
"$dir/venv/bin/python" -W ignore - > "$dir/seen" <<'PY'
import pennylane as qml
import torch


def one(angle):
    qml.RX(angle, 0)
    return qml.expval(qml.Z(0))


def two(angle):
    qml.RX(angle, 0)
    return [qml.expval(qml.Z(0)), qml.expval(qml.Z(1))]


for options in ({}, {"readout_prob": 0.1}):
    for circuit in (one, two):
        for angle in (0.3, torch.tensor(0.3, dtype=torch.float64)):
            device = qml.device("default.mixed", wires=2, **options)
            try:
                values = qml.QNode(circuit, device)(angle)
                values = values if isinstance(values, list | tuple) else [values]
                result = " ".join(f"{float(value):.4f}" for value in values)
            except TypeError as error:
                result = f"TypeError: {error}"
            print(f"{circuit.__name__} {options} {type(angle).__name__}: {result}")
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
OUT
