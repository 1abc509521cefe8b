"""Values that no plugin should return: code for each, by name. Lazy ones do not end."""

from __future__ import annotations

HELPERS = """
import decimal, fractions, itertools
import numpy as np

def hostile(base, **methods):
    return type("Hostile", (base,), methods)

def leaves(*_a, **_b): raise SystemExit(3)
def fails(*_a, **_b): 1 / 0
"""

VALUES = {
    "nothing": "None",
    "a huge integer": "10**400",
    "an integer too long to write": "10**5000",
    "a bool": "True",
    "a NumPy bool": "np.bool_(True)",
    "a complex number": "1j",
    "NaN": "float('nan')",
    "infinity": "float('inf')",
    "a decimal that signals": "decimal.Decimal('sNaN')",
    "a huge fraction": "fractions.Fraction(10**400, 3)",
    "a fine decimal": "decimal.Decimal('0.5')",
    "a fine fraction": "fractions.Fraction(1, 2)",
    "a NumPy number": "np.float32(0.5)",
    "an array without axes": "np.array(0.5)",
    "an array": "np.eye(2)",
    "an array of objects": "np.array([None, 'a'], object)",
    "a masked array": "np.ma.masked_all(3)",
    "a tensor without axes": "__import__('torch').tensor(0.5, requires_grad=True)",
    "a tensor": "__import__('torch').ones(2, 2)",
    "a tensor without data": "__import__('torch').ones((), device='meta')",
    "text": "'high'",
    "bytes": "b'high'",
    "half a character": r"'\\udcff'",
    "text that steers": r"'\\x1b[31m'",
    "a list": "[1, 2]",
    "an endless iterator": "itertools.count()",
    "an endless list": "hostile(list, __iter__=lambda self: itertools.count())()",
    "an endless mapping": (
        "hostile(dict, items=lambda self: ((str(i), 0.5) for i in itertools.count()), "
        "keys=lambda self: map(str, itertools.count()), __getitem__=lambda self, k: 0.5)()"
    ),
    "a mapping that is none": "hostile(dict, items=lambda self: 3)(a=1)",
    "a mapping of what is none": "{'a': object()}",
    "a mapping by numbers": "{1: 0.5}",
    "a generator": "(x for x in [1, 2])",
    "a class": "dict",
    "a function": "lambda *a: None",
    "a module": "itertools",
    "a float that fails": "hostile(float, __float__=fails, __repr__=fails, __hash__=fails, __eq__=fails)(0.5)",
    "a float that leaves": "hostile(float, __float__=leaves, __repr__=leaves, __bool__=leaves)(0.5)",
    "an integer that leaves": "hostile(int, __float__=leaves, __index__=leaves, __repr__=leaves)(5)",
    "text that fails": "hostile(str, __repr__=fails, __str__=fails, __hash__=str.__hash__, __eq__=fails)('x')",
    "text that leaves": "hostile(str, __len__=leaves, __iter__=leaves, __hash__=str.__hash__, __eq__=leaves)('x')",
    "a list that fails": "hostile(list, __iter__=fails, __len__=fails, __bool__=fails)([1])",
    "a tuple that leaves": "hostile(tuple, __iter__=leaves, __len__=leaves)((1,))",
    "an object that fails": (
        "hostile(object, **{n: fails for n in ('__repr__', '__float__', '__eq__', '__bool__', '__len__', '__iter__', "
        "'__getattr__', '__int__', '__array__')}, __hash__=object.__hash__)()"
    ),
    "an object that leaves": (
        "hostile(object, **{n: leaves for n in ('__repr__', '__float__', '__eq__', '__bool__', '__len__', "
        "'__iter__', '__getattr__', '__int__', '__array__')}, __hash__=object.__hash__)()"
    ),
    "an array that leaves": "np.zeros(3, np.int64).view(hostile(np.ndarray, min=leaves, max=leaves, __len__=leaves))",
}

# What a plugin returns, as a change of the sound one in which `value` stands for a value; the command that asks.
RETURNED = {
    "load": ("def load(options):\n    return {value}", "run"),
    "an image set's images": ("def load(options):\n    return squares(16, images={value})", "run"),
    "an image set's labels": ("def load(options):\n    return squares(16, labels={value})", "run"),
    "an image set's names": ("def load(options):\n    return squares(16, sample_ids=({value},) * 16)", "run"),
    "an image set's classes": ("def load(options):\n    return squares(16, class_names=('a', {value}))", "run"),
    "an image set's groups": ("def load(options):\n    return squares(16, groups={value})", "run"),
    "an image set's notes": ("def load(options):\n    return squares(16, notes={value})", "run"),
    "an image set's note": ("def load(options):\n    return squares(16, notes=dict(a={value}))", "run"),
    "an image set's facts": ("def load(options):\n    return squares(16, facts=dict(a={value}))", "run"),
    "check": ("def check(options):\n    return {value}", "check"),
    "a problem": ("def check(options):\n    return [{value}]", "check"),
    "a problem's field": ("def check(options):\n    return [Problem('a', {value}, 'b')]", "check"),
    "a problem's harm": ("def check(options):\n    return [Problem('a', 'b', 'c', {value})]", "check"),
    "a backbone": ("def build_backbone(options, input_shape, n_classes):\n    return {value}", "run"),
    "a backbone's features": ("def features(torch):\n    return {value}", "run"),
    "a backbone's blocks": ("def blocks(torch, n_classes):\n    return {value}", "run"),
    "a backbone's block": ("def blocks(torch, n_classes):\n    return ({value},)", "run"),
    "a head": ("def build_head(options, in_features, n_classes):\n    return {value}", "run"),
    "logits": ("def forward(self, x, torch):\n    return {value}", "run"),
    "cells": ("def cells(options, samples):\n    return {value}", "run"),
    "a cell": ("def cells(options, samples):\n    return [{value}]", "run"),
    "a cell's fold": (
        "def cells(options, samples):\n    return [Cell({value}, 0, np.arange(4), np.arange(4, 8))]",
        "run",
    ),
    "a cell's samples": ("def cells(options, samples):\n    return [Cell(0, 0, {value}, np.arange(4, 8))]", "run"),
    "a cell's backbone": (
        "def cells(options, samples):\n    return [Cell(0, 0, np.arange(4), np.arange(4, 8), {value})]",
        "run",
    ),
    "metrics": ("def metrics(labels, probabilities):\n    return {value}", "run"),
    "a metric": ("def metrics(labels, probabilities):\n    return dict(a={value})", "run"),
    "a metric's name": ("def metrics(labels, probabilities):\n    return {{{value}: 0.5}}", "run"),
    "a spec's summary": (
        "def head_specs():\n    return [HeadSpec(name='dense', summary={value}, build=build_head)]",
        "info",
    ),
    "a spec's name": (
        "def head_specs():\n    return [HeadSpec(name={value}, summary='a head', build=build_head)]",
        "info",
    ),
    "specs": ("def head_specs():\n    return {value}", "info"),
    "a spec": ("def head_specs():\n    return [{value}]", "info"),
    "a claim's number": (
        "def recipe_specs():\n    return [RecipeSpec(**recipe_parts(claims=(Claim('size', 'parameters', 'm', 'T 1', "
        "printed={value}, tolerance=0.0, table=1),)))]",
        "reproduce",
    ),
    "a claim's note": (
        "def recipe_specs():\n    return [RecipeSpec(**recipe_parts(claims=(Claim('size', 'parameters', 'm', 'T 1', "
        "printed=1.0, tolerance=0.0, table=1, note={value}),)))]",
        "reproduce",
    ),
    "a circuit": ("def circuit(options):\n    return {value}", "circuit"),
    "a circuit's qubits": ("def circuit(options):\n    return Circuit(f, {value}, dict(w=(1,)), 1, 1)", "circuit"),
    "a circuit's shapes": ("def circuit(options):\n    return Circuit(f, 1, {value}, 1, 1)", "circuit"),
    "a circuit's shape": ("def circuit(options):\n    return Circuit(f, 1, dict(w={value}), 1, 1)", "circuit"),
    "a circuit's inputs": ("def circuit(options):\n    return Circuit(f, 1, dict(w=(1,)), {value}, 1)", "circuit"),
    "a circuit's range": ("def circuit(options):\n    return Circuit(f, 1, dict(w=(1,)), 1, 1, {value})", "circuit"),
    "a circuit's limit": (
        "def circuit(options):\n    return Circuit(f, 1, dict(w=(1,)), 1, 1, (0.0, {value}))",
        "circuit",
    ),
    "measurements": ("def f(inputs, w, wires):\n    return {value}", "circuit"),
    "a measurement": ("def f(inputs, w, wires):\n    return [{value}]", "circuit"),
    "an option's text": (
        "from pydantic import field_serializer\nclass HeadOptions(Options):\n    x: int = 3\n"
        "    @field_serializer('x')\n    def s(self, v): return {value}",
        "run",
    ),
}

QUANTUM = """
def f(inputs, w, wires):
    import pennylane as qml
    qml.RX(inputs[..., 0] * w[0], 0)
    return [qml.expval(qml.PauliZ(0))]

def circuit(options):
    return Circuit(f, 1, {'w': (1,)}, 1, 1)

def build_head(options, in_features, n_classes, circuit):
    import torch
    return torch.nn.Sequential(torch.nn.Linear(in_features, 1), circuit, torch.nn.Linear(1, n_classes))

def head_specs():
    return [QuantumHeadSpec(name='dense', summary='s', build=lambda *a, **k: build_head(*a, **k), options=HeadOptions,
                            circuit=lambda o: circuit(o))]
"""
