#!/usr/bin/env bash
# The adjoint method gives no derivative with respect to the coefficients of an observable.
#
# Packages: pennylane 0.45.1, pennylane-lightning 0.45.0, torch 2.13.0.
# Behaviour: <c Z> after RY(0.4) has the derivative cos(0.4) = 0.921 with respect to c. Backpropagation and the
#   parameter-shift rule return it. With diff_method="adjoint" both default.qubit and lightning.qubit return exactly 0,
#   and where c is also the angle of a gate they return the gate's part alone (-0.451 in place of 0.314). There is no
#   error and no warning, and lightning.qubit picks "adjoint" by itself.
# What a reader would expect: the adjoint method refuses trainable coefficients, or differentiates them.
# Seen: see the expected output at the end.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.13.0 pennylane==0.45.1 pennylane-lightning==0.45.0 2> "$dir/pip.log" \
  || { cat "$dir/pip.log"; exit 1; }
"$dir/venv/bin/python" -W ignore - > "$dir/seen" <<'PY'
import pennylane as qml
import torch


def coefficient_only(c):
    qml.RY(0.4, 0)
    return qml.expval(c * qml.Z(0))


def coefficient_and_angle(c):
    qml.RY(c, 0)
    return qml.expval(c * qml.Z(0))


for circuit in (coefficient_only, coefficient_and_angle):
    for device, method in (
        ("default.qubit", "backprop"),
        ("default.qubit", "adjoint"),
        ("lightning.qubit", "best"),
        ("lightning.qubit", "parameter-shift"),
    ):
        c = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
        value = qml.QNode(circuit, qml.device(device, wires=1), interface="torch", diff_method=method)(c)
        value.backward()
        print(f"{circuit.__name__} {device} {method}: value {value.item():.3f}, derivative {c.grad.item():.3f}")
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
coefficient_only default.qubit backprop: value 0.645, derivative 0.921
coefficient_only default.qubit adjoint: value 0.645, derivative 0.000
coefficient_only lightning.qubit best: value 0.645, derivative 0.000
coefficient_only lightning.qubit parameter-shift: value 0.645, derivative 0.921
coefficient_and_angle default.qubit backprop: value 0.535, derivative 0.314
coefficient_and_angle default.qubit adjoint: value 0.535, derivative -0.451
coefficient_and_angle lightning.qubit best: value 0.535, derivative -0.451
coefficient_and_angle lightning.qubit parameter-shift: value 0.535, derivative 0.314
OUT
