"""A small distribution with a component of every kind, and the ways in which each of its hooks can go wrong."""

from __future__ import annotations

KINDS = ("dataset", "backbone", "head", "evaluator", "recipe")
SPECS = {kind: f"{kind.capitalize()}Spec" for kind in KINDS}

# What is called later is looked up later: a case overrides a function by defining it again below.
SOUND = """
import numpy as np
from pydantic import Field
from qtlplat import (
    Backbone, BackboneSpec, Budget, Cell, Circuit, Claim, DatasetSpec, EvaluatorSpec, HeadSpec, ImageSet, Options,
    Problem, QuantumHeadSpec, RecipeModel, RecipeSpec, hookimpl,
)
qtlplat_api_version = (1, 0)


class SquaresOptions(Options):
    per_class: int = Field(8, ge=2, le=1000, description="images of each class")


class Nothing(Options):
    pass


class BackboneOptions(Options):
    pass


class HeadOptions(Options):
    width: int = Field(3, ge=1, le=9, description="width")


class EvaluatorOptions(Options):
    pass


def squares(n, **changes):
    images = np.random.default_rng(0).integers(0, 80, (n, 1, 16, 16), dtype=np.uint8)
    labels = np.arange(n, dtype=np.int64) % 2
    images[labels == 1, :, 4:8, 4:8] += 150
    names = tuple(f"square{i}" for i in range(n))
    parts = dict(images=images, labels=labels, sample_ids=names, groups=names, class_names=("empty", "square"))
    return ImageSet(**{**parts, **changes})


def load(options):
    return squares(2 * options.per_class)


def check(options):
    return []


def is_available(options):
    return True


def features(torch):
    return torch.nn.Sequential(torch.nn.MaxPool2d(4), torch.nn.Flatten())


def blocks(torch, n_classes):
    return (torch.nn.Sequential(torch.nn.Linear(16, 8), torch.nn.ReLU()), torch.nn.Linear(8, n_classes))


def build_backbone(options, input_shape, n_classes):
    import torch

    return Backbone(features(torch), blocks(torch, n_classes))


def forward(self, x, torch):
    return self.layer(x)


def build_head(options, in_features, n_classes):
    import torch

    class Head(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(in_features, n_classes)
            extra(self, torch)

        def forward(self, x):
            return forward(self, x, torch)

    return Head()


def extra(self, torch):
    pass


def cells(options, samples):
    half = np.arange(len(samples)) % 4 < 2
    return [Cell(0, seed, np.flatnonzero(half), np.flatnonzero(~half)) for seed in samples.seeds]


def metrics(labels, probabilities):
    return {"sharpness": float(probabilities.max(1).mean())}


def dataset_specs():
    return [DatasetSpec(name="squares", summary="made-up squares", load=lambda o: load(o), options=SquaresOptions,
                        check=lambda o: check(o), is_available=lambda o: is_available(o))]


def backbone_specs():
    return [BackboneSpec(name="net", summary="two dense layers", build=lambda o, **k: build_backbone(o, **k),
                         options=BackboneOptions)]


def head_specs():
    return [HeadSpec(name="dense", summary="one dense layer", build=lambda o, **k: build_head(o, **k),
                     options=HeadOptions)]


def evaluator_specs():
    return [EvaluatorSpec(name="half", summary="half is kept for testing", cells=lambda o, s: cells(o, s),
                          options=EvaluatorOptions, metrics=lambda y, p: metrics(y, p))]


def recipe_parts(**changes):
    parts = dict(
        name="paper", summary="a paper", citation="A. Body, 2025", dataset="squares",
        input_shape=(1, 16, 16), n_classes=2,
        models=(RecipeModel("m", backbone="net", head="dense", evaluator="half"),),
        claims=(Claim("size", "parameters", "m", "Table 1", printed=1.0, tolerance=0.0, table=1),),
        budgets=(Budget("short", "minutes", epochs=1, pretrain_epochs=1),),
    )
    return {**parts, **changes}


def recipe_specs():
    return [RecipeSpec(**recipe_parts())]
"""

HOOKS = "".join(f"\n\n@hookimpl\ndef qtlplat_{kind}s():\n    return {kind}_specs()\n" for kind in KINDS)


def source(changes: str = "") -> str:
    """A module that is sound but for `changes`, which stand below everything that they override."""
    return SOUND + HOOKS + changes


# How a module can fail before any of its hooks is called: what stands at its top, and words of the reason.
MODULES = {
    "imports what nobody has": ("import a_module_that_nobody_has", "No module named"),
    "has a syntax error": ("def (:", "SyntaxError"),
    "leaves the program": ("raise SystemExit('no licence')", "SystemExit: 'no licence'"),
    "raises Ctrl-C": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "raises the end of a generator": ("raise GeneratorExit", "GeneratorExit"),
    "raises SIGTERM": ("from qtlplat.errors import Terminated\nraise Terminated", "Terminated"),
    "raises past Exception": ("class Own(BaseException): pass\nraise Own('deep')", "Own: 'deep'"),
    "recurses for ever": ("def f(): f()\nf()", "RecursionError"),
    "raises what steers a terminal": ("raise ValueError('[red]\\x1b[31m\\n\\u202e')", r"\x1b"),
    "raises what has no text": ("class E(Exception):\n    def __str__(self): 1 / 0\nraise E", "E"),
    "raises a long text": ("raise ValueError('x' * 10**6)", "ValueError"),
    "says no version": ("del qtlplat_api_version", "does not say which API"),
    "says another version": ("qtlplat_api_version = (99, 0)", "API version 99.0"),
    "says a version that is text": ("qtlplat_api_version = '1'", "API version '1'"),
    "says a version that cannot be compared": (
        "class V:\n    def __eq__(self, o): 1 / 0\nqtlplat_api_version = V()",
        "API version",
    ),
    "says a version that cannot be shown": (
        "class V:\n    def __repr__(self): 1 / 0\nqtlplat_api_version = V()",
        "API version",
    ),
    "raises when looked at": (
        "def __getattr__(name): raise SystemExit(name)\ndel qtlplat_api_version",
        "qtlplat_api_version cannot be read",
    ),
}

# How a hook can fail, for every kind: what its function is instead, and words of the reason.
HOOK = {
    "raises": ("raise RuntimeError('not today')", "raised RuntimeError: 'not today'"),
    "leaves the program": ("raise SystemExit(3)", "raised SystemExit"),
    "raises Ctrl-C": ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
    "raises past Exception": ("raise type('Own', (BaseException,), {{}})('deep')", "raised Own: 'deep'"),
    "returns nothing": ("pass", "must return a list of specs, returned None"),
    "returns text": ("return 'linear'", "must return a list of specs, returned 'linear'"),
    "returns a spec": ("return {kind}_specs()[0]", "must return a list of specs"),
    "returns a mapping": ("return {{'a': {kind}_specs()[0]}}", "must return a list of specs"),
    "yields and raises": ("yield {kind}_specs()[0]\n    raise ValueError('later')", "must return a list of specs"),
    "returns a list of nothing": ("return [None]", "must be a {Spec}"),
    "returns a class": ("return [{Spec}]", "must be a {Spec}"),
    "returns another kind's spec": ("return {other}_specs()", "must be a {Spec}"),
    "returns what cannot be shown": (
        "return [type('X', (), {{'__repr__': lambda self: 1 / 0}})()]",
        "must be a {Spec}",
    ),
    "returns a list that raises": (
        "return type('L', (list,), {{'__iter__': lambda self: 1 / 0}})()",
        "ZeroDivisionError",
    ),
    "offers a name twice": ("return {kind}_specs() * 2", "twice"),
}

# How a spec can be wrong, for every kind: an attribute, its value, words of the reason.
SPEC = {
    "name with a path": ("name", "'../../etc/passwd'", "name '../../etc/passwd' must be"),
    "name that steers a terminal": ("name", r"'\x1b[31mred'", r"name '\x1b[31mred' must be"),
    "name with markup": ("name", "'[bold]x[/bold]'", "must be lower-case"),
    "name of look-alikes": ("name", r"'l\u0456near'", "must be lower-case"),
    "name with half a character": ("name", r"'\ud800'", "must be lower-case"),
    "name with a line break": ("name", r"'a\n'", "must be lower-case"),
    "name that is empty": ("name", "''", "must be lower-case"),
    "name that never ends": ("name", "'a' * 10**6", "must be"),
    "name that is no text": ("name", "7", "name 7 must be"),
    "summary of two lines": ("summary", r"'a\nb'", "must be one line"),
    "summary that steers a terminal": ("summary", r"'\x1b[2J'", "must be one line"),
    "summary that is no text": ("summary", "None", "must be one line"),
    "summary that never ends": ("summary", "'a ' * 10**6", "must be one line"),
    "options that are a mapping": ("options", "{}", "must be a subclass of qtlplat.Options"),
    "options of another model": (
        "options",
        "__import__('pydantic').BaseModel",
        "must be a subclass of qtlplat.Options",
    ),
    "options that are made already": ("options", "Nothing()", "must be a subclass of qtlplat.Options"),
    "options that let anything in": (
        "options",
        "type('Loose', (Options,), {'model_config': {'extra': 'allow'}, '__module__': __name__})",
        "must forbid",
    ),
    "options that may change": (
        "options",
        "type('Loose', (Options,), {'model_config': {'frozen': False}, '__module__': __name__})",
        "must be frozen",
    ),
}

# Functions of a spec by kind: each must be one.
FUNCTIONS = {
    "dataset": ("load", "is_available", "check", "locate_files"),
    "backbone": ("build",),
    "head": ("build",),
    "evaluator": ("cells", "metrics"),
}


def with_hook(kind: str, body: str) -> str:
    """A module one of whose hooks has another body."""
    other = KINDS[KINDS.index(kind) - 1]
    body = body.format(kind=kind, Spec=SPECS[kind], other=other)
    return source(f"\n\n@hookimpl\ndef qtlplat_{kind}s():\n    {body}\n")


def with_attribute(kind: str, name: str, value: str) -> str:
    """A module the first of whose specs of a kind has another attribute."""
    body = (
        f"spec = {kind}_specs()[0]; object.__setattr__(spec, {name!r}, {value.replace('{', '{{').replace('}', '}}')})"
    )
    return with_hook(kind, f"{body}; return [spec]")
