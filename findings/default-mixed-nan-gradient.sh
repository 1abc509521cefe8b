#!/usr/bin/env bash
# default.mixed: the gradient through torch is NaN for nearly every circuit with an entangling gate.
#
# Packages: pennylane 0.45.1, torch 2.13.0.
# Behaviour: RX(0.3) and a CNOT, then <Z>. The value is right and equal on both devices. default.qubit's derivative is
#   -sin(0.3). default.mixed supports backpropagation, chooses it by itself, and returns NaN, without an error or a
#   warning: probabilities are computed through square roots, whose derivative is infinite where a probability is 0.
#   A circuit in which no outcome has the probability 0 gets the right derivative.
# What a reader would expect: both devices return -sin(0.3).
# Seen: see the expected output at the end.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.13.0 pennylane==0.45.1 2> "$dir/pip.log" || { cat "$dir/pip.log"; exit 1; }
"$dir/venv/bin/python" -W ignore - > "$dir/seen" <<'PY'
import pennylane as qml
import torch


def entangled(angle):
    qml.RX(angle, 0)
    qml.CNOT([0, 1])
    return qml.expval(qml.Z(0))


def no_empty_outcome(angle):
    qml.RX(angle, 0)
    qml.RX(0.6, 1)
    return qml.expval(qml.Z(0))


for circuit in (entangled, no_empty_outcome):
    for device in ("default.qubit", "default.mixed"):
        angle = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
        value = qml.QNode(circuit, qml.device(device, wires=2), interface="torch")(angle)
        value.backward()
        print(f"{circuit.__name__} {device}: value {value.item():.4f}, derivative {angle.grad.item():.4f}")
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
entangled default.qubit: value 0.9553, derivative -0.2955
entangled default.mixed: value 0.9553, derivative nan
no_empty_outcome default.qubit: value 0.9553, derivative -0.2955
no_empty_outcome default.mixed: value 0.9553, derivative -0.2955
OUT
