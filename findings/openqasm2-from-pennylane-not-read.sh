#!/usr/bin/env bash
# PennyLane writes files with an OpenQASM 2.0 header that a reader of OpenQASM 2.0 refuses.
#
# Packages: pennylane 0.45.1, qiskit 2.2.3, numpy 2.4.6.
# Behaviour: qml.to_openqasm writes a gate that depends on a measurement as `if(mcms[0]==1) ...`; version 2 of the
#   language compares whole registers only. SX is written with `gphase`, which version 2 lacks, and CRY as `cry`, which
#   is in neither the language nor the published qelib1.inc. Qiskit's reader refuses each of them.
# What a reader would expect: what is written under the header "OPENQASM 2.0" is read by Qiskit, or PennyLane raises an error.
# Seen: see the expected output at the end.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet pennylane==0.45.1 qiskit==2.2.3 numpy==2.4.6 2> "$dir/pip.log" \
  || { cat "$dir/pip.log"; exit 1; }
"$dir/venv/bin/python" -W ignore - > "$dir/seen" <<'PY'
import pennylane as qml
from qiskit import qasm2


def rotation():
    qml.RY(0.1, 0)


def conditional():
    qml.RY(0.1, 0)
    qml.cond(qml.measure(0), qml.RY)(0.3, 1)


def square_root():
    qml.SX(0)


def controlled():
    qml.CRY(0.2, [0, 1])


for gates in (rotation, conditional, square_root, controlled):

    @qml.qnode(qml.device("default.qubit", wires=3))
    def circuit():
        gates()
        return qml.expval(qml.Z(1))

    text = qml.to_openqasm(circuit, measure_all=False)()
    try:
        qasm2.loads(text)
        print(f"{gates.__name__}: read")
    except qasm2.QASM2ParseError as error:
        print(f"{gates.__name__}: {error.message.splitlines()[0].strip(chr(34))}")
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
rotation: read
conditional: <input>:8,7: needed '==', but instead saw [
square_root: <input>:8,0: 'gphase' is not defined in this scope
controlled: <input>:5,0: 'cry' is not defined in this scope
OUT
