"""The ways in which a component that was loaded goes wrong when it is used: code below the sound plugin, words told.

Each is (changes, words): the changes define again what the sound plugin looks up late.
"""

from __future__ import annotations

RAISES = {
    "raises": ("raise KeyError('nobody')", "KeyError"),
    "leaves the program": ("raise SystemExit(0)", "SystemExit"),
    "raises Ctrl-C": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "raises the end of a generator": ("raise GeneratorExit", "GeneratorExit"),
    "raises SIGTERM": ("import qtlplat.errors as e; raise e.Terminated", "Terminated"),
    "raises what leaves when it is told": (
        "raise type('E', (Exception,), {'__str__': lambda s: exit()})",
        "E",
    ),
    "raises an error of ours that holds no text": (
        "import qtlplat.errors as e; raise e.ConfigError('mine', fix=3)",
        "ConfigError",
    ),
    "raises past Exception": ("raise type('Own', (BaseException,), {})('deep')", "Own: 'deep'"),
    "runs out of stack": ("f = lambda: f(); f()", "RecursionError"),
    "raises what steers a terminal": ("raise ValueError('[red]\\x1b[31m\\n\\u202e' * 99)", r"\x1b[31m"),
    "raises a bug of ours": ("import qtlplat.errors as e; raise e.QtlplatError('mine')", "QtlplatError: 'mine'"),
    "raises success": (
        "import qtlplat.errors as e; raise type('E', (e.QtlplatError,), {'exit_code': 0})('mine')",
        "E: 'mine'",
    ),
}


def instead(function: str, arguments: str, body: str) -> str:
    """A function of the sound plugin with another body."""
    lines = "\n    ".join(body.split("\n"))
    return f"\n\ndef {function}({arguments}):\n    {lines}\n"


def _all(function: str, arguments: str, bodies: dict[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    return {
        f"{function} {fault}": (instead(function, arguments, body), words)
        for fault, (body, words) in {**RAISES, **bodies}.items()
    }


DATASET = {
    **_all(
        "load",
        "options",
        {
            "returns nothing": ("pass", "must return qtlplat.ImageSet, not NoneType"),
            "returns a tuple": ("return ([], [])", "must return qtlplat.ImageSet, not tuple"),
            "yields": ("yield squares(16)", "must return qtlplat.ImageSet, not generator"),
            "returns too little": ("return ImageSet(squares(16).images)", "TypeError"),
            "changes its options": (
                "object.__setattr__(options, 'per_class', 9); return squares(18)",
                "changes its own options",
            ),
        },
    )
}

# What an ImageSet refuses: a change of the sound one, words told; the data is wrong then (3).
IMAGES = {
    "float images": ("images=np.ones((16, 1, 16, 16))", "must be uint8"),
    "flat images": ("images=np.ones((16, 16), np.uint8)", "must be uint8"),
    "channels last": ("images=np.ones((16, 12, 12, 1), np.uint8)", "pass images.transpose(0, 3, 1, 2)"),
    "images in [0, 1]": ("images=np.ones((16, 1, 16, 16), np.float32)", "values from 1.0 to 1.0: pass (255 * images)"),
    "a tensor": ("images=__import__('torch').ones(16, 1, 16, 16)", "is Tensor of torch.float32 (16, 1, 16, 16)"),
    "no images": ("images=np.ones((0, 1, 16, 16), np.uint8)", "is empty"),
    "empty images": ("images=np.ones((16, 1, 0, 16), np.uint8)", "is empty"),
    "images that are a list": ("images=[[1]]", "must be uint8"),
    "float labels": ("labels=np.ones(16)", "must be int64"),
    "labels that are NaN": ("labels=np.full(16, np.nan)", "must be int64"),
    "too few labels": ("labels=np.zeros(3, np.int64)", "must be int64 (16,)"),
    "labels out of range": ("labels=np.arange(16)", "outside [0, 2)"),
    "negative labels": ("labels=np.arange(16) % 2 - 1", "outside [0, 2)"),
    "one class only": ("labels=np.zeros(16, np.int64)", "no sample of class 'square'"),
    "one class name": ("class_names=('a',), labels=np.zeros(16, np.int64)", "at least two different names"),
    "a class without samples": ("class_names=('a', 'b', 'c')", "no sample of class 'c'"),
    "a class name twice": ("class_names=('a', 'a')", "at least two different names"),
    "class names that are numbers": ("class_names=(0, 1)", "must be non-empty strings"),
    "class names that are one text": ("class_names='ab'", "must be a tuple"),
    "no class names": ("class_names=None", "must be a tuple"),
    "an id twice": ("sample_ids=('a',) * 16", "duplicate"),
    "ids that are numbers": ("sample_ids=tuple(range(16))", "must be non-empty strings"),
    "ids that are a generator": ("sample_ids=(str(i) for i in range(16))", "must be a tuple"),
    "an id with half a character": (r"sample_ids=tuple(f'{i}\udcff' for i in range(16))", "UTF-8"),
    "a group with a zero byte": (r"groups=tuple(f'{i}\0' for i in range(16))", "zero byte"),
    "too few groups": ("groups=('a',)", "must have 16 entries"),
    "no groups": ("groups=None", "must be a tuple"),
    "facts that are a list": ("facts=[1]", "must be a mapping"),
    "facts that are not finite": ("facts={'f': np.full(16, np.inf)}", "not finite"),
    "notes that are numbers": ("notes={'n': 1}", "must be text by name"),
    "notes that are text": ("notes='n'", "must be a mapping"),
}

BACKBONE = {
    **_all(
        "build_backbone",
        "options, input_shape, n_classes",
        {
            "returns nothing": ("pass", "must return qtlplat.Backbone"),
            "returns a module": ("import torch; return torch.nn.Flatten()", "must return qtlplat.Backbone"),
            "returns no blocks": ("import torch; return Backbone(features(torch), ())", "at least one dense block"),
            "returns blocks that are none": (
                "import torch; return Backbone(features(torch), (None,))",
                "all torch modules",
            ),
            "yields blocks": (
                "import torch; return Backbone(features(torch), (b for b in blocks(torch, 2)))",
                "at least one dense block",
            ),
            "returns a function": (
                "import torch; return Backbone(lambda x: x.flatten(1), blocks(torch, n_classes))",
                "all torch modules",
            ),
            "seeds torch": (
                "import torch; torch.manual_seed(3); return Backbone(features(torch), blocks(torch, n_classes))",
                "seeds torch's global generator",
            ),
            "draws from elsewhere": (
                "import torch; b = blocks(torch, n_classes); torch.nn.init.constant_(b[1].bias, np.random.rand())\n"
                "return Backbone(features(torch), b)",
                "other weights from the same seed",
            ),
            "returns the same one again": (
                "import torch\nglobal kept\nkept = globals().get('kept') or blocks(torch, n_classes)\n"
                "return Backbone(features(torch), kept)",
                "the same parameters again",
            ),
            "computes in float64": (
                "import torch; torch.set_default_dtype(torch.float64)\n"
                "return Backbone(features(torch), blocks(torch, n_classes))",
                "running dense block 1 failed",
            ),
        },
    ),
    "features do not fit the first block": (
        instead("features", "torch", "return torch.nn.Flatten()"),
        "running dense block 1 failed",
    ),
    "features keep the image": (instead("features", "torch", "return torch.nn.Identity()"), "must have shape (3, F)"),
    "the last block has three classes": (
        instead("blocks", "torch, n_classes", "return (torch.nn.Linear(16, 3),)"),
        "must have shape (3, 2), has (3, 3)",
    ),
    "nothing is trained": (
        instead("blocks", "torch, n_classes", "return (torch.nn.Linear(16, 2).requires_grad_(False),)"),
        "nothing to train",
    ),
    "a block is not finite": (
        instead(
            "blocks",
            "torch, n_classes",
            "b = torch.nn.Linear(16, 2); torch.nn.init.constant_(b.bias, float('nan')); return (b,)",
        ),
        "not finite",
    ),
    "a block lies elsewhere": (
        instead("blocks", "torch, n_classes", "return (torch.nn.Linear(16, 2, device='meta'),)"),
        "dense block 1",
    ),
}

FORWARD = "self, x, torch"
HEAD = {
    **_all(
        "build_head",
        "options, in_features, n_classes",
        {
            "returns nothing": ("pass", "must return a torch module, it returned NoneType"),
            "returns a function": ("return lambda x: x", "must return a torch module, it returned function"),
            "returns a class": ("import torch; return torch.nn.Linear", "must return a torch module"),
            "returns the same one again": (
                "import torch\nglobal kept\nkept = globals().get('kept') or torch.nn.Linear(in_features, n_classes)\n"
                "return kept",
                "the same parameters again",
            ),
            "seeds torch": (
                "import torch; torch.manual_seed(3); return torch.nn.Linear(in_features, n_classes)",
                "seeds torch's global generator",
            ),
            "draws from elsewhere": (
                "import torch; l = torch.nn.Linear(in_features, n_classes)\n"
                "torch.nn.init.constant_(l.bias, np.random.rand()); return l",
                "other weights from the same seed",
            ),
            "turns gradients off": (
                "import torch; torch.set_grad_enabled(False); return torch.nn.Flatten()",
                "must have shape",
            ),
            "has no parameters": (
                "import torch; return torch.nn.AdaptiveAvgPool1d(n_classes)",
                "has nothing to train",
            ),
            "has no logits for two classes": ("import torch; return torch.nn.Linear(in_features, 1)", "has (3, 1)"),
        },
    ),
    **_all(
        "forward",
        FORWARD,
        {
            "returns nothing": ("pass", "must be a tensor, is NoneType"),
            "returns a tuple": ("return (self.layer(x),)", "must be a tensor, is tuple"),
            "returns an array": ("return self.layer(x).detach().numpy()", "must be a tensor, is ndarray"),
            "drops the batch": ("return self.layer(x)[0]", "must have shape (3, 2), has (2,)"),
            "adds an axis": ("return self.layer(x)[:, None]", "has (3, 1, 2)"),
            "doubles the batch": ("y = self.layer(x); return torch.cat([y, y])", "has (6, 2)"),
            "returns one column": ("return self.layer(x)[:, :1]", "has (3, 1)"),
            "returns float64": ("return self.layer(x).double()", "must be float32, is float64"),
            "returns float16": ("return self.layer(x).half()", "must be float32, is float16"),
            "returns complex numbers": ("return self.layer(x) * 1j", "must be float32, is complex64"),
            "returns classes": ("return self.layer(x).long()", "must be float32, is int64"),
            "returns nothing that is anywhere": ("return self.layer(x).to('meta')", "must lie on cpu"),
            "returns a sparse tensor": ("return self.layer(x).to_sparse()", "sparse"),
            "returns NaN": ("return self.layer(x) * float('nan')", "not finite"),
            "returns infinity": ("return self.layer(x) / 0", "not finite"),
            "is NaN in evaluation": (
                "return self.layer(x) * (1 if self.training else float('nan'))",
                "logits in evaluation of 3 samples are not finite",
            ),
            "lets no gradient through": ("return self.layer(x).detach()", "nothing to train"),
            "has a gradient of NaN": (
                "y = self.layer(x); return torch.sqrt(y - y.detach())",
                "gradient of layer.weight is not finite",
            ),
            "cannot be differentiated": (
                "y = self.layer(x).exp(); y.add_(1); return y",
                "differentiating the head failed",
            ),
            "changes its input": ("x.mul_(2); return self.layer(x)", "changes its input in place"),
            "draws in evaluation": (
                "return self.layer(x) + torch.rand(len(x), 2)",
                "other logits for the same features",
            ),
            "seeds torch": ("torch.manual_seed(1); return self.layer(x)", "seeds torch's global generator"),
        },
    ),
    "a parameter is not used": (
        instead("extra", "self, torch", "self.spare = torch.nn.Linear(1, 1)"),
        "no gradient reaches spare",
    ),
    "a layer is not registered": (
        instead("extra", "self, torch", "self.hidden = [torch.nn.Linear(2, 2)]")
        + instead("forward", FORWARD, "return self.hidden[0](self.layer(x))"),
        "none of its parameters",
    ),
    "a parameter lies elsewhere": (
        instead("extra", "self, torch", "self.layer = torch.nn.Linear(16, 2, device='meta')"),
        "meta",
    ),
}

CIRCUIT = {
    "raises": ("raise KeyError('nobody')", "declaring the circuit failed"),
    "leaves the program": ("raise SystemExit(0)", "SystemExit"),
    "returns nothing": ("return None", "must return qtlplat.Circuit, not NoneType"),
    "returns a function": ("return lambda: 0", "must return qtlplat.Circuit, not function"),
    "has no function": ("return Circuit(None, 1, {'w': (1,)}, 1, 1)", "function must be callable"),
    "has a function that raises": (
        "def f(inputs, w, wires): raise SystemExit\nreturn Circuit(f, 1, {'w': (1,)}, 1, 1)",
        "running the circuit failed",
    ),
    "measures nothing": (
        "def f(inputs, w, wires): pass\nreturn Circuit(f, 1, {'w': (1,)}, 1, 1)",
        "circuit",
    ),
    "has no qubits": ("def f(inputs, w, wires): return []\nreturn Circuit(f, 0, {'w': (1,)}, 1, 1)", "circuit"),
    "has fewer qubits than none": (
        "def f(inputs, w, wires): return []\nreturn Circuit(f, -3, {'w': (1,)}, 1, 1)",
        "circuit",
    ),
    "has shapes that are text": (
        "def f(inputs, w, wires): return []\nreturn Circuit(f, 1, 'w', 1, 1)",
        "circuit",
    ),
    "measures less than it declares": (
        "import pennylane as qml\n"
        "def f(inputs, w, wires):\n    qml.RX(inputs[..., 0] * w[0], 0); return [qml.expval(qml.PauliZ(0))]\n"
        "return Circuit(f, 1, {'w': (1,)}, 1, 2)",
        "circuit",
    ),
}

HALF = "half = np.arange(len(samples)) % 4 < 2; a, b = np.flatnonzero(half), np.flatnonzero(~half)\n"
EVALUATOR = {
    **_all(
        "cells",
        "options, samples",
        {
            "returns nothing": ("pass", "TypeError"),
            "returns none": ("return []", "returned no cells"),
            "returns a number": ("return 3", "TypeError"),
            "returns a matrix": ("return np.eye(3)", "must return qtlplat.Cell, not ndarray"),
            "returns tuples": ("return [(0, 0, [1], [2])]", "must return qtlplat.Cell, not tuple"),
            "yields and raises": (HALF + "yield Cell(0, 0, a, b)\nraise ValueError('later')", "ValueError: 'later'"),
            "has float indices": (HALF + "return [Cell(0, 0, a * 1.0, b)]", "train must be int64"),
            "has lists": (HALF + "return [Cell(0, 0, list(a), list(b))]", "train must be int64"),
            "trains on nothing": (HALF + "return [Cell(0, 0, a[:0], b)]", "train is empty"),
            "tests what it trains on": (HALF + "return [Cell(0, 0, a, a)]", "train and test overlap"),
            "goes out of range": (HALF + "return [Cell(0, 0, a, b + 99)]", "outside [0, 16)"),
            "goes below": (HALF + "return [Cell(0, 0, a, b - 99)]", "outside [0, 16)"),
            "repeats an index": (HALF + "return [Cell(0, 0, a, b[[0, 0]])]", "test repeats an index"),
            "repeats a fold": (HALF + "return [Cell(0, 0, a, b)] * 2", "duplicate (fold, seed)"),
            "has a fold that is text": (HALF + "return [Cell('0', 0, a, b)]", "fold must be an int"),
            "has a seed of NumPy's": (HALF + "return [Cell(0, np.int64(0), a, b)]", "seed must be an int"),
            "has a seed that is NaN": (HALF + "return [Cell(0, float('nan'), a, b)]", "seed must be an int"),
            "has a fold below": (HALF + "return [Cell(-1, 0, a, b)]", "fold must be an int"),
            "has a huge fold": (HALF + "return [Cell(2**80, 0, a, b)]", "fold must be an int"),
            "writes into the labels": ("samples.labels[0] = 1; return []", "ValueError"),
        },
    ),
    **_all(
        "metrics",
        "labels, probabilities",
        {
            "returns nothing": ("pass", "must return numbers by name, returned None"),
            "returns a number": ("return 0.5", "must return numbers by name"),
            "returns pairs": ("return [('a', 1)]", "must return numbers by name"),
            "returns text": ("return {'a': 'high'}", "metric a must be a number"),
            "returns an array": ("return {'a': probabilities}", "metric a must be a number"),
            "returns complex numbers": ("return {'a': 1j}", "metric a must be a number"),
            "hides our own": ("return {'f1': 1.0}", "cannot be called 'f1'"),
            "has a name that is none": ("return {3: 1.0}", "cannot be called 3"),
            "has a name that steers a terminal": (r"return {'\x1b[31m': 1.0}", r"cannot be called '\x1b[31m'"),
            "has a name that never ends": ("return {'a' * 10**6: 1.0}", "cannot be called"),
        },
    ),
}

OPTIONS = {
    "a validator raises": (
        "from pydantic import field_validator\n"
        "class {Model}(Options):\n"
        "    x: int = 3\n"
        "    @field_validator('x')\n"
        "    @classmethod\n"
        "    def v(cls, value): raise RuntimeError('mine')\n",
        "validating the options",
    ),
    "a validator leaves the program": (
        "from pydantic import field_validator\n"
        "class {Model}(Options):\n"
        "    x: int = 3\n"
        "    @field_validator('x')\n"
        "    @classmethod\n"
        "    def v(cls, value): raise SystemExit(0)\n",
        "validating the options",
    ),
    "a default raises": (
        "class {Model}(Options):\n    x: int = Field(default_factory=lambda: 1 / 0)\n",
        "validating the options",
    ),
    "a value cannot be written down": (
        "class {Model}(Options):\n    model_config = {{'arbitrary_types_allowed': True}}\n"
        "    x: object = Field(default_factory=object)\n",
        "options",
    ),
    "a serializer raises": (
        "from pydantic import field_serializer\n"
        "class {Model}(Options):\n"
        "    x: int = 3\n"
        "    @field_serializer('x')\n"
        "    def s(self, value): raise KeyError('mine')\n",
        "options",
    ),
}
MODELS = {"dataset": "SquaresOptions", "backbone": "BackboneOptions", "head": "HeadOptions"}
