#!/usr/bin/env bash
# PennyLane-qiskit: qiskit.aer without shots returns means of 1,024 shots.
#
# Packages: pennylane 0.45.1, PennyLane-qiskit 0.45.0, qiskit 2.3.0, qiskit-aer 0.17.2.
# Behaviour: RY(1.2), then <Z> = cos(1.2), on a device that was given no number of shots. default.qubit returns the exact
#   value twice. qiskit.aer returns two different multiples of 2/1024, while device.shots says that there are none.
#   With method="statevector" the value is exact as long as nothing in the circuit is measured.
# What a reader would expect: no shots means exact values, or device.shots tells 1,024.
# Seen: see the expected output at the end.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet pennylane==0.45.1 PennyLane-qiskit==0.45.0 qiskit==2.3.0 qiskit-aer==0.17.2 \
  2> "$dir/pip.log" || { cat "$dir/pip.log"; exit 1; }
"$dir/venv/bin/python" -W ignore - > "$dir/seen" <<'PY'
import math

import pennylane as qml


def circuit():
    qml.RY(1.2, 0)
    return qml.expval(qml.Z(0))


for name in ("default.qubit", "qiskit.aer"):
    device = qml.device(name, wires=1)
    values = [float(qml.QNode(circuit, device)()) for _ in range(6)]
    exact = all(abs(value - math.cos(1.2)) < 1e-9 for value in values)
    means = all((value * 512).is_integer() for value in values)
    print(f"{name}: device.shots {device.shots.total_shots}, exact {exact}, means of 1024 shots {means}")
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
default.qubit: device.shots None, exact True, means of 1024 shots False
qiskit.aer: device.shots None, exact False, means of 1024 shots True
OUT
