"""A simplified step gives what the step gives, in fewer operations; what could change its meaning stays as it is."""

import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax

from qtlplat.compile.trace import trace


def agreeing(function, *arguments):
    """The program of a function, held against it on other numbers."""
    program = trace(function, arguments)
    for _ in range(2):
        for argument in arguments:
            argument.copy_(torch.randn_like(argument))
        for ours, theirs in zip(program(), function(*arguments), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)
    return program


def names(program):
    return [getattr(call.func, "__name__", "") for call in program._calls]


def test_what_does_nothing_is_left_out():
    def idle(x):
        torch.zeros_like(x).sin()
        return (((x * 1).clone() * 1.0).view(4, 3).expand(4, 3) + 2,)

    assert names(agreeing(idle, torch.randn(4, 3))) == ["add"]


def test_what_has_the_shape_of_something_is_made_once():
    assert names(agreeing(lambda x: (x.sin() * torch.ones_like(x),), torch.randn(4, 3))) == ["sin", "mul"]


def test_a_sum_with_a_product_is_one_operation():
    def layer(x, w, b):
        return ((b + x @ w).tanh(),)

    assert names(agreeing(layer, torch.randn(2, 5, 3), torch.randn(2, 3, 4), torch.randn(2, 1, 4))) == [
        "baddbmm",
        "tanh",
    ]


def test_a_product_that_is_needed_elsewhere_stays():
    def both(x, w, b):
        product = x @ w
        return (product + b, product * 2)

    assert "bmm" in names(agreeing(both, torch.randn(2, 5, 3), torch.randn(2, 3, 4), torch.randn(2, 1, 4)))


def loss(x, w, b, y):
    """Few classes, many samples: everything behind the product is computed transposed."""
    logits = torch.relu(x @ w.mT + b)
    likely = log_softmax(logits, -1) * y
    hits = y.gather(-1, logits.argmax(-1, keepdim=True))
    return likely.sum((1, 2)), likely.sum(1), likely.sum(-1, keepdim=True).sin(), hits.sum((1, 2)), likely.sum((0, 2))


def test_narrow_matrices_are_computed_transposed():
    x, w, b, y = torch.randn(3, 20, 7), torch.randn(3, 2, 7), torch.randn(3, 1, 2), torch.randn(3, 20, 2)
    program = agreeing(loss, x, w, b, y)
    (product,) = (call for call in program._calls if call.func is torch.baddbmm)
    assert product.keywords["out"].shape == (3, 2, 20)


def test_gradients_of_a_stacked_layer():
    def one(w, b, x, y):
        return cross_entropy(torch.tanh(torch.nn.functional.linear(x, w, b)), y.softmax(-1))

    gradients = torch.func.vmap(torch.func.grad(one, argnums=(0, 1)))
    agreeing(gradients, torch.randn(3, 4, 300), torch.randn(3, 4), torch.randn(3, 32, 300), torch.randn(3, 32, 4))


@pytest.mark.parametrize("inner", [7, 300])
def test_rows_that_are_seen_as_one_list_lie_in_order(inner):
    def flattened(x, w):
        product = x @ w
        return product.view(-1, 2, 2).sin(), product.transpose(1, 2) * 2

    agreeing(flattened, torch.randn(3, 20, inner), torch.randn(3, inner, 2))


def test_results_lie_as_they_did():
    def products(x, w):
        return (x @ w,)

    arguments = torch.randn(3, 20, 300), torch.randn(3, 300, 2)
    assert agreeing(products, *arguments)()[0].stride() == products(*arguments)[0].stride()


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("join", [torch.cat, torch.stack])
def test_pieces_are_computed_where_they_are_joined(join, axis):
    def joined(x):
        sine, cosine = (x * 2).sin(), x.cos()
        return join([sine, cosine, x.exp()], axis) + 1, sine * 3

    program = agreeing(joined, torch.randn(2, 3, 4))
    assert "cat" not in names(program)
    assert "stack" not in names(program)
    assert len(program) == 6


def test_pieces_that_are_given_or_used_twice_or_seen_otherwise_are_copied():
    def joined(x):
        sine, cosine = x.sin(), x.cos()
        whole = torch.cat([sine, x, sine, cosine])
        return whole * 2, torch.stack([x, x]) + 1, cosine.view(-1) + 1, torch.cat([sine, torch.ones(1, 3)]).exp()

    agreeing(joined, torch.randn(2, 3))


def test_equal_operations_stay_apart_where_something_is_written():
    def written(x):
        first, second = torch.zeros_like(x), torch.zeros_like(x)
        first.add_(x)
        return torch.cat([first, second]), x.sin() + x.sin()

    agreeing(written, torch.randn(3))
