#!/usr/bin/env bash
# qiskit-qasm3-import refuses `if (m[0] == 1)`, which OpenQASM 3 allows.
#
# Packages: qiskit 2.3.0, qiskit-qasm3-import 0.6.0.
# Behaviour: the specification of OpenQASM 3 casts between bit, int and bool implicitly, and Qiskit's own exporter is not
#   the only writer of the language. The importer reads `m[0] == true`, `m[0]` and `m == 1` (a whole register), and
#   refuses a single bit that is compared with 1.
# What a reader would expect: all four are read.
# Seen: see the expected output at the end.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet qiskit==2.3.0 qiskit-qasm3-import==0.6.0 2> "$dir/pip.log" \
  || { cat "$dir/pip.log"; exit 1; }
"$dir/venv/bin/python" -W ignore - > "$dir/seen" <<'PY'
from qiskit import qasm3

PROGRAM = """OPENQASM 3.0;
include "stdgates.inc";
qubit[2] q;
bit[1] m;
h q[0];
m[0] = measure q[0];
if ({condition}) {{ x q[1]; }}
"""
for condition in ("m[0] == 1", "m[0] == true", "m[0]", "m == 1"):
    try:
        qasm3.loads(PROGRAM.format(condition=condition))
        print(f"{condition}: read")
    except Exception as error:
        print(f"{condition}: {type(error).__name__}: {str(error).strip(chr(34))}")
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
m[0] == 1: QASM3ImporterError: 7,4: conditions must be 'bit == const bool' or 'bitarray == const int', not 'bit == const int'
m[0] == true: read
m[0]: read
m == 1: read
OUT
