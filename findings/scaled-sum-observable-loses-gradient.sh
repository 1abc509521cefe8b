#!/usr/bin/env bash
# The gradient of a trained coefficient is NaN, or missing, where a sum of observables is multiplied by a number.
#
# Packages: pennylane 0.45.1, torch 2.13.0.
# Behaviour: 2 * (c Z + X X) and the sum 2c Z + 2 X X are one observable and have one expectation value. Written as a sum,
#   backpropagation gives its derivative in c on default.qubit and default.mixed. Written as a number times a sum,
#   default.qubit returns NaN without an error or a warning, and on default.mixed the value does not depend on c at all
#   as far as torch can see.
# What a reader would expect: both ways of writing give the same derivative on both devices.
# Seen: see the expected output at the end.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.13.0 pennylane==0.45.1 2> "$dir/pip.log" || { cat "$dir/pip.log"; exit 1; }
"$dir/venv/bin/python" -W ignore - > "$dir/seen" <<'PY'
import pennylane as qml
import torch


def number_times_sum(c):
    return 2 * (c * qml.Z(0) + qml.X(0) @ qml.X(1))


def plain_sum(c):
    return 2 * c * qml.Z(0) + 2 * qml.X(0) @ qml.X(1)


for observable in (plain_sum, number_times_sum):
    for device in ("default.qubit", "default.mixed"):

        @qml.qnode(qml.device(device, wires=2), interface="torch", diff_method="backprop")
        def circuit(c):
            qml.RX(0.3, 0)
            qml.RY(0.4, 1)
            return qml.expval(observable(c))

        c = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        value = circuit(c)
        (derivative,) = torch.autograd.grad(value, c, allow_unused=True) if value.requires_grad else (None,)
        text = "none" if derivative is None else f"{derivative.item():.4f}"
        print(f"{observable.__name__} {device}: value {value.item():.4f}, derivative {text}")
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
plain_sum default.qubit: value 1.3375, derivative 1.9107
plain_sum default.mixed: value 1.3375, derivative 1.9107
number_times_sum default.qubit: value 1.3375, derivative nan
number_times_sum default.mixed: value 1.3375, derivative none
OUT
