#!/usr/bin/env bash
# default.mixed: a circuit on a device with readout_prob cannot be evaluated.
#
# Packages: pennylane 0.45.1, numpy 2.4.6.
# Behaviour: the documented option readout_prob (a number in [0, 1]) is accepted when the device is made. Every circuit
#   on it then ends in "TypeError: 'float' object is not iterable": the number reaches a place that wants a list of
#   channels. A list is refused when the device is made. BitFlip channels before the measurement do what is wanted.
# What a reader would expect: <Z> shrinks from 0.9553 to 0.9553 * (1 - 2 * 0.1) = 0.7643.
# Seen: see the expected output at the end.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet pennylane==0.45.1 numpy==2.4.6 2> "$dir/pip.log" || { cat "$dir/pip.log"; exit 1; }
"$dir/venv/bin/python" -W ignore - > "$dir/seen" <<'PY'
import pennylane as qml


def expectation():
    qml.RX(0.3, 0)
    return qml.expval(qml.Z(0))


def probabilities():
    qml.RX(0.3, 0)
    return qml.probs(wires=0)


def flipped():
    qml.RX(0.3, 0)
    qml.BitFlip(0.1, 0)
    return qml.expval(qml.Z(0))


for circuit, options in (
    (expectation, {}),
    (expectation, {"readout_prob": 0.1}),
    (probabilities, {"readout_prob": 0.1}),
    (expectation, {"readout_prob": [0.1]}),
    (flipped, {}),
):
    try:
        print(circuit.__name__, options, f"{float(qml.QNode(circuit, qml.device('default.mixed', wires=1, **options))()):.4f}")
    except TypeError as error:
        print(circuit.__name__, options, f"TypeError: {error}")
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
expectation {} 0.9553
expectation {'readout_prob': 0.1} TypeError: 'float' object is not iterable
probabilities {'readout_prob': 0.1} TypeError: 'float' object is not iterable
expectation {'readout_prob': [0.1]} TypeError: The readout error probability should be an integer or a floating-point number in [0,1].
flipped {} 0.7643
OUT
