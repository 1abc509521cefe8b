"""A traced function gives, bit for bit, what it gives untraced; what cannot be traced is refused in words."""

import pytest
import torch

from qtlplat.compile.trace import CannotTraceError, trace


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


def test_traced_and_untraced_agree_bit_for_bit_on_other_numbers():
    x = torch.randn(6, 5)
    program = trace(views, [x])
    for _ in range(3):
        x.copy_(torch.randn(6, 5))
        expected = views(x)
        for ours, theirs in zip(program(), expected, strict=True):
            assert torch.equal(ours, theirs)


def test_views_of_plain_numbers_are_constants():
    """PennyLane's gates have conjugates of numbers such as 0.5j in their matrices."""

    def rotated(x):
        number = torch.ops.aten._conj.default(0.5j)
        return (x * number).abs() + 1, x - number.real

    x = torch.randn(6, 5)
    program = trace(rotated, [x])
    x.copy_(torch.randn(6, 5))
    for ours, theirs in zip(program(), rotated(x), strict=True):
        assert torch.equal(ours, theirs)


def test_only_operations_are_repeated_each_of_them_once():
    x = torch.randn(6, 5)
    # mul, sin; pairs, middle, first * second, parts, product, sum; copies: to complex numbers, back, of a conjugate
    assert len(trace(views, [x])) == 11


def test_memory_is_used_again_when_nobody_needs_it_and_not_before():
    def chain(x):
        first = x + 1
        kept = first.view(-1)[:5]
        for _ in range(20):
            x = (x * 1.5).sin() + 0.1
        return (x, kept * 2)

    x = torch.randn(10, 10)
    program = trace(chain, [x])
    x.copy_(torch.randn(10, 10))
    for ours, theirs in zip(program(), chain(x), strict=True):
        assert torch.equal(ours, theirs)
    places = {call.keywords["out"].data_ptr() for call in program._calls if "out" in getattr(call, "keywords", {})}
    assert len(places) < 8


def test_an_operation_done_again_after_its_result_was_given_up():
    def twice(x):
        first = (x * 2).sin().sum()  # the sine is not needed any more
        others = [(x + k).cos() for k in range(5)]  # these take its place
        return (first, sum(others), (x * 2).sin() + 1)

    x = torch.randn(10, 10)
    program = trace(twice, [x])
    for ours, theirs in zip(program(), twice(x), strict=True):
        assert torch.equal(ours, theirs)


def test_gradients_can_be_traced():
    def gradient(x, y):
        return (torch.func.grad(lambda a: ((a @ y).tanh() ** 2).sum())(x),)

    x, y = torch.randn(4, 3), torch.randn(3, 2)
    assert torch.equal(trace(gradient, [x, y])()[0], gradient(x, y)[0])


def test_constants_are_kept_and_computed_once():
    table = torch.arange(3.0)

    def shifted(x):
        return (x + (table * 2).cos(),)

    x = torch.randn(3)
    program = trace(shifted, [x])
    assert torch.equal(program()[0], shifted(x)[0])
    assert len(program) == 1


def test_operations_with_several_results():
    def both(x):
        values, places = (x * 2).sort(dim=1)
        return values + 1, places * 2, values[:, :2] * 3

    x = torch.randn(4, 6)
    program = trace(both, [x])
    x.copy_(torch.randn(4, 6))
    for ours, theirs in zip(program(), both(x), strict=True):
        assert torch.equal(ours, theirs)


def test_random_operations_stay_random_and_follow_the_generator():
    program = trace(lambda x: (torch.nn.functional.dropout(x, 0.5),), [torch.ones(1000)])
    torch.manual_seed(3)
    first = program()[0].clone()
    second = program()[0].clone()
    torch.manual_seed(3)
    assert not torch.equal(first, second)
    assert torch.equal(first, program()[0])


def test_operations_in_place_on_its_own_tensors_are_kept():
    def doubled(x):
        copy = x.clone()
        copy[0] += 1
        return (copy.mul_(2),)

    x = torch.randn(3, 2)
    program = trace(doubled, [x])
    for _ in range(2):
        assert torch.equal(program()[0], doubled(x)[0])


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
