#!/usr/bin/env bash
# lightning.qubit: IQPEmbedding of a batch of B samples returns a B x B array.
#
# Packages: pennylane 0.45.1, pennylane-lightning 0.45.0, torch 2.13.0.
# Behaviour: three samples through IQPEmbedding and one expectation value. default.qubit, default.mixed and
#   reference.qubit return three values. lightning.qubit returns nine, in a 3 x 3 array, without an error or a warning:
#   the product of two features is expanded over the batch twice.
# What a reader would expect: every device returns three values.
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


def circuit(features):
    qml.IQPEmbedding(features, wires=[0, 1])
    return qml.expval(qml.Z(0))


batch = torch.tensor([[0.3, 0.5], [0.1, 0.2], [1.0, 2.0]], dtype=torch.float64)
for device in ("default.qubit", "default.mixed", "reference.qubit", "lightning.qubit"):
    values = qml.QNode(circuit, qml.device(device, wires=2), interface="torch")(batch)
    print(device, tuple(values.shape))
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
default.qubit (3,)
default.mixed (3,)
reference.qubit (3,)
lightning.qubit (3, 3)
OUT
