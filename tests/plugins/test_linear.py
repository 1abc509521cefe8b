"""The classical heads: their parameters, what they compute, their options."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from qtlplat import NoOptions
from qtlplat_linear import MlpOptions, build_linear, build_mlp
from qtlplat_linear.heads import Linear, Mlp


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_linear_is_affine_in_the_features() -> None:
    head = build_linear(NoOptions(), 3, 2)
    assert isinstance(head, Linear)
    with torch.no_grad():
        head.post_net.weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]]))
        head.post_net.bias.copy_(torch.tensor([0.5, -0.5]))
        out = head(torch.tensor([[1.0, 1.0, 1.0], [2.0, 0.0, -2.0]]))
    assert torch.allclose(out, torch.tensor([[6.5, -1.0], [-3.5, -1.5]]))


@pytest.mark.parametrize(
    ("hidden", "parameters"),
    [((5,), 2048 * 5 + 5 + 5 * 2 + 2), ((8, 4), 2048 * 8 + 8 + 8 * 4 + 4 + 4 * 2 + 2)],
)
def test_mlp_has_the_parameters_of_its_widths(hidden: tuple[int, ...], parameters: int) -> None:
    head = build_mlp(MlpOptions(hidden=hidden), 2048, 2)
    assert count(head) == parameters
    assert [name for name, _ in head.named_children()] == ["pre_net", "post_net"]


def test_mlp_agrees_with_its_formula() -> None:
    torch.manual_seed(0)
    head = build_mlp(MlpOptions(hidden=(4,), activation="tanh"), 3, 2)
    assert isinstance(head, Mlp)
    x = torch.randn(6, 3)
    first = head.pre_net[0]
    hidden = torch.tanh(x @ first.weight.T + first.bias)
    expected = hidden @ head.post_net.weight.T + head.post_net.bias
    assert torch.allclose(head(x), expected, atol=1e-6)


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    head = build_mlp(MlpOptions(hidden=(50,), dropout=0.5), 10, 2)
    x = torch.randn(4, 10)
    assert not torch.equal(head(x), head(x))
    head.eval()
    assert torch.equal(head(x), head(x))


@pytest.mark.parametrize(
    "bad", [{"hidden": []}, {"hidden": [0]}, {"activation": "gelu"}, {"dropout": 1.0}, {"depth": 2}]
)
def test_wrong_options_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MlpOptions(**bad)  # type: ignore[arg-type]
