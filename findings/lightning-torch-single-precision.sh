#!/usr/bin/env bash
# PennyLane's torch interface rounds expectation values of lightning.qubit to single precision.
#
# Packages: pennylane 0.45.1, pennylane-lightning 0.45.0, torch 2.13.0.
# Behaviour: an angle in float64 and lightning.qubit in its default double precision. One expectation value comes back as
#   torch.float32, some 1e-8 off; default.qubit's is torch.float64. Devices that hand over Python floats are concerned:
#   the interface turns those into tensors of torch's default dtype. Probabilities are arrays and stay float64.
#   Finite differences of such values with a step of 1e-4 are off by up to 1e-3.
# What a reader would expect: float64 in, float64 out.
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


def expectation(angle):
    qml.RX(angle, 0)
    return qml.expval(qml.Z(0))


def probabilities(angle):
    qml.RX(angle, 0)
    return qml.probs(wires=0)


for circuit in (expectation, probabilities):
    for device in ("default.qubit", "lightning.qubit"):
        angle = torch.tensor(0.3, dtype=torch.float64)
        value = qml.QNode(circuit, qml.device(device, wires=1), interface="torch", diff_method=None)(angle)
        print(circuit.__name__, device, value.dtype)
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
expectation default.qubit torch.float64
expectation lightning.qubit torch.float32
probabilities default.qubit torch.float64
probabilities lightning.qubit torch.float64
OUT
