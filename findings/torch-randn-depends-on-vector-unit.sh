#!/usr/bin/env bash
# torch.randn and uniform_(a, b) draw other numbers on another vector unit, with one seed; torch.rand does not.
#
# Packages: torch 2.13.0 (CPU build), numpy 2.4.6; an x86-64 processor with AVX2.
# Behaviour: ATEN_CPU_CAPABILITY chooses the code that torch uses on the CPU, as another processor would. From one seed,
#   torch.rand(64) and torch.randn(15) are bitwise equal with "default" and "avx2". torch.randn(16) and longer are not:
#   from 16 values on, the normal numbers are made by vector instructions whose logarithm and cosine round otherwise.
#   Tensor.uniform_(a, b), from which nn.Linear and nn.Conv2d begin, differs in the last bit: x * (b - a) + a is one
#   rounding with AVX2 (a fused multiply-add) and two without. Differences are near 1e-6, enough for two machines to
#   train different networks from "the same" initial weights.
# What a reader would expect: one seed gives one sequence on every x86-64 processor, apart from GPU kernels.
# Seen: see the expected output at the end.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 2> "$dir/pip.log" || { cat "$dir/pip.log"; exit 1; }
cat > "$dir/draw.py" <<'PY'
import sys

import numpy
import torch



def uniform(n):
    return torch.empty(n).uniform_(-0.37, 0.11)


draws = {}
for name, draw, n in (
    ("rand", torch.rand, 64),
    ("randn", torch.randn, 15),
    ("randn", torch.randn, 16),
    ("uniform_", uniform, 64),
):
    torch.manual_seed(0)
    draws[f"{name}({n})"] = draw(n).numpy()
numpy.savez(sys.argv[1], **draws)
PY
for unit in default avx2; do
  ATEN_CPU_CAPABILITY=$unit "$dir/venv/bin/python" -W ignore "$dir/draw.py" "$dir/$unit.npz"
done
"$dir/venv/bin/python" - "$dir/default.npz" "$dir/avx2.npz" > "$dir/seen" <<'PY'
import sys

import numpy

one, other = (numpy.load(path) for path in sys.argv[1:])
for name in one.files:
    a, b = one[name], other[name]
    close = numpy.abs(a - b).max() < 1e-5
    print(name, "bitwise equal" if a.tobytes() == b.tobytes() else "differ", "within 1e-5" if close else "by more")
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
rand(64) bitwise equal within 1e-5
randn(15) bitwise equal within 1e-5
randn(16) differ within 1e-5
uniform_(64) differ within 1e-5
OUT
