#!/usr/bin/env bash
# safetensors saves a lazily conjugated complex tensor without its conjugation.
#
# Packages: safetensors 0.8.0, torch 2.13.0.
# Behaviour: torch.Tensor.conj() copies nothing; it sets a bit. A conjugated vector is contiguous, so save() accepts it,
#   writes the numbers below the bit and forgets the bit: what is loaded is the conjugate of what was saved, without an
#   error or a warning. resolve_conj() before saving gives the right numbers. The imaginary part of a conjugated vector
#   is real, with a bit that negates it: of one element it is contiguous, and is saved with the wrong sign.
# What a reader would expect: the loaded tensor equals the saved one, as it does with torch.save.
# Seen: see the expected output at the end.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet torch==2.13.0 safetensors==0.8.0 numpy==2.4.6 2> "$dir/pip.log" \
  || { cat "$dir/pip.log"; exit 1; }
"$dir/venv/bin/python" -W ignore - > "$dir/seen" <<'PY'
import io

import torch
from safetensors.torch import load, save

state = torch.tensor([1 + 2j, 3 - 4j]).conj()
file = io.BytesIO()
torch.save(state, file)
file.seek(0)
print("saved", state.tolist())
print("torch.save", torch.load(file, weights_only=True).tolist())
print("safetensors", load(save({"state": state}))["state"].tolist())
sign = torch.tensor([1 + 2j]).conj().imag
print("negated", sign.tolist(), "safetensors", load(save({"sign": sign.contiguous()}))["sign"].tolist())
print("safetensors, resolved", load(save({"state": state.resolve_conj()}))["state"].tolist())
PY
cat "$dir/seen"
diff - "$dir/seen" <<'OUT'
saved [(1-2j), (3+4j)]
torch.save [(1-2j), (3+4j)]
safetensors [(1+2j), (3-4j)]
negated [-2.0] safetensors [2.0]
safetensors, resolved [(1-2j), (3+4j)]
OUT
