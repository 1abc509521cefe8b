#!/usr/bin/env bash
# pennylane-qulacs: qulacs.simulator accepts seed= (and any other keyword) and does nothing with it.
#
# Packages: pennylane 0.45.1, pennylane-qulacs 0.44.0, qulacs 0.6.14.
# Behaviour: two devices with seed=5 and 100 shots each draw different samples, and a made-up keyword is accepted too.
#   Shots follow from numpy's global generator: with numpy.random.seed before each they are the same.
# What a reader would expect: one seed gives one sequence of shots, or the keyword is refused.
# Seen: see the expected output at the end.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet pennylane==0.45.1 pennylane-qulacs==0.44.0 qulacs==0.6.14 2> "$dir/pip.log" \
  || { cat "$dir/pip.log"; exit 1; }
"$dir/venv/bin/python" -W ignore - > "$dir/seen" <<'PY'
import numpy as np
import pennylane as qml


def drawn(seeded, **keywords):
    if seeded:
        np.random.seed(5)
    device = qml.device("qulacs.simulator", wires=8, **keywords)

    @qml.set_shots(100)
    @qml.qnode(device)
    def circuit():
        for wire in range(8):
            qml.Hadamard(wire)
        return qml.sample()

    return np.asarray(circuit()).tolist()


print("seed=5 twice:", "the same" if drawn(False, seed=5) == drawn(False, seed=5) else "different")
print("no_such_option=5:", "accepted" if drawn(False, no_such_option=5) else "")
print("numpy.random.seed(5) twice:", "the same" if drawn(True) == drawn(True) else "different")
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
seed=5 twice: different
no_such_option=5: accepted
numpy.random.seed(5) twice: the same
OUT
