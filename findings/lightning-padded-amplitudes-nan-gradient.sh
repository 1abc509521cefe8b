#!/usr/bin/env bash
# lightning.qubit: an amplitude embedding with padding has a NaN gradient with respect to the features.
#
# Packages: pennylane 0.45.1, pennylane-lightning 0.45.0, torch 2.13.0.
# Behaviour: three features on two qubits, AmplitudeEmbedding(pad_with=0, normalize=True). The value is right on both
#   devices. default.qubit's gradient is finite; on lightning.qubit the gradient is NaN in every feature, with the
#   adjoint method, the parameter-shift rule and finite differences alike: the state preparation is decomposed into
#   rotations whose angles are not differentiable at an amplitude of zero. There is no error and no warning.
# What a reader would expect: both devices agree, or one refuses.
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
    qml.AmplitudeEmbedding(features, wires=[0, 1], pad_with=0.0, normalize=True)
    return qml.expval(qml.Z(0))


for device, method in (
    ("default.qubit", "backprop"),
    ("lightning.qubit", "adjoint"),
    ("lightning.qubit", "parameter-shift"),
    ("lightning.qubit", "finite-diff"),
):
    features = torch.tensor([0.3, 0.5, 0.1], dtype=torch.float64, requires_grad=True)
    value = qml.QNode(circuit, qml.device(device, wires=2), interface="torch", diff_method=method)(features)
    value.backward()
    print(f"{device} {method}: value {value.item():.4f}, gradient", *(f"{g:.3f}" for g in features.grad.tolist()))
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
default.qubit backprop: value 0.9429, gradient 0.098 0.163 -1.110
lightning.qubit adjoint: value 0.9429, gradient nan nan nan
lightning.qubit parameter-shift: value 0.9429, gradient nan nan nan
lightning.qubit finite-diff: value 0.9429, gradient nan nan nan
OUT
