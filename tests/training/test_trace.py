"""A traced function gives, bit for bit, what it gives untraced; what cannot be traced is refused in words."""

import pytest
import torch

from qtlplat.training.trace import CannotTraceError, trace


def views(x):
    """Views of views, copies, conjugates, several results of one operation, an operation done twice."""
    wave = (x * 2).sin()
    pairs = wave[:, 1:][:, ::2]
    middle = wave.split([1, 2, 2], 1)[1].transpose(0, 1)
    first, second = wave.unbind(0)[:2]
    numbers = torch.view_as_complex(wave[:, :4].reshape(-1, 2, 2).contiguous())
    parts = torch.view_as_real(numbers[:, 1]).flatten()
    again = (x * 2).sin().sum(0) * 1.0
    return pairs * 1.5, middle + 1, first * second, parts * 2, numbers[1:].conj() * numbers[:-1], again


@pytest.mark.parametrize("offset", [0, 1])
def test_traced_and_untraced_agree_bit_for_bit_on_other_numbers(offset):
    storage = torch.randn(2, 40)
    x, other = (row[offset : offset + 30].view(6, 5) for row in storage)
    program = trace(views, [x])
    # Rows of one storage lie at different offsets, and a program is for one: what is given must lie as it was traced.
    moved = x.clone()
    x.copy_(other)
    for ours, theirs in zip(program(x), views(x), strict=True):
        assert torch.equal(ours, theirs)
    x.copy_(moved)
    for ours, theirs in zip(program(x), views(x), strict=True):
        assert torch.equal(ours, theirs)


def test_views_are_fused_and_equal_operations_done_once():
    program = trace(views, [torch.randn(6, 5)])
    calls = [node for node in program.__self__.graph.nodes if node.op == "call_function"]
    sines = [node for node in calls if node.target is torch.sin]
    assert len(sines) == 1
    for node in calls:
        if node.target is torch.as_strided:
            assert node.args[0].target is not torch.as_strided


def test_gradients_can_be_traced():
    def gradient(x, y):
        return (torch.func.grad(lambda a: ((a @ y).tanh() ** 2).sum())(x),)

    x, y = torch.randn(4, 3), torch.randn(3, 2)
    assert torch.equal(trace(gradient, [x, y])(x, y)[0], gradient(x, y)[0])


def test_constants_are_kept_and_computed_once():
    table = torch.arange(3.0)

    def shifted(x):
        return (x + (table * 2).cos(),)

    x = torch.randn(3)
    program = trace(shifted, [x])
    assert torch.equal(program(x)[0], shifted(x)[0])
    assert all(node.target is not torch.cos for node in program.__self__.graph.nodes)


def test_random_operations_stay_random_and_follow_the_generator():
    program = trace(lambda x: (torch.nn.functional.dropout(x, 0.5),), [torch.ones(1000)])
    torch.manual_seed(3)
    first = program(torch.ones(1000))[0]
    second = program(torch.ones(1000))[0]
    torch.manual_seed(3)
    assert not torch.equal(first, second)
    assert torch.equal(first, program(torch.ones(1000))[0])


def test_operations_in_place_on_its_own_tensors_are_kept():
    def doubled(x):
        copy = x.clone()
        copy[0] += 1
        return (copy.mul_(2),)

    x = torch.randn(3, 2)
    program = trace(doubled, [x])
    assert torch.equal(program(x)[0], doubled(x)[0])


def test_what_looks_at_values_or_changes_its_arguments_is_refused():
    def looks(x):
        return (x * 2 if float(x.sum()) > 0 else x,)

    def counts(x):
        counter.add_(1)
        return (x * counter,)

    counter = torch.zeros(())
    with pytest.raises(CannotTraceError, match="looks at the value"):
        trace(looks, [torch.ones(2)])
    with pytest.raises(CannotTraceError, match="changes a tensor of its own"):
        trace(counts, [torch.ones(2)])
