"""Every hand-written backward pass agrees with finite differences, and every kernel with a plain loop over cells."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from qtlplat.quantum.compiler.kernel import linear
from qtlplat.quantum.compiler.product_states import fold_vectors, product_state, wave_state, wave_tables
from qtlplat.quantum.compiler.rotations import kron_matrices, trace_table, turn_matrices, turn_tables
from qtlplat.quantum.compiler.states import apply, apply_layer, apply_to_real, layer_matrix, permute, squares

LEADS = [(), (2, 2)]


def random(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def unitaries(*lead: int, size: int = 2, dtype: torch.dtype = torch.complex128, seed: int = 0) -> torch.Tensor:
    """Random unitary (orthogonal for a real dtype) matrices (*, size, size)."""
    return torch.linalg.qr(random(*lead, size, size, dtype=dtype, seed=seed).detach())[0].contiguous()


def by_generators(*lead: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Parameters (*, 4) and the fixed matrices (4, 2, 2) that `rotated` makes unitary matrices of."""
    raw = random(4, 2, 2, dtype=dtype, seed=3).detach()
    return random(*lead, 4, seed=4), raw - raw.mH  # antihermitian: their exponentials are unitary


def rotated(parameters: torch.Tensor, generators: torch.Tensor) -> torch.Tensor:
    return torch.linalg.matrix_exp(torch.einsum("...k,kij->...ij", parameters.to(generators.dtype), generators))


def turn_arguments(n: int, turns: int, features: int, real: bool) -> list[torch.Tensor]:
    rng = np.random.default_rng(n + turns)
    shape = (n, turns, 2, 2)
    even, odd = (rng.normal(size=shape) + (0 if real else 1j) * rng.normal(size=shape) for _ in range(2))
    angles, offset = rng.normal(size=(features, n, turns)), rng.normal(size=(n, turns))
    return [torch.from_numpy(np.ascontiguousarray(t)) for t in turn_tables(even, odd, angles, offset, real)]


def cellwise(function, *stacked):
    """A function applied to each slice of a leading axis, as ``torch.func.vmap`` should."""
    return torch.stack([function(*cell) for cell in zip(*stacked, strict=True)])


def same_under_vmap(function, *stacked):
    """Values and gradients of the vmapped function are those of a loop over cells."""
    together, one_by_one = torch.func.vmap(function)(*stacked), cellwise(function, *stacked)
    torch.testing.assert_close(together, one_by_one, rtol=0, atol=1e-12)
    direction = torch.randn(one_by_one.shape, dtype=one_by_one.dtype, generator=torch.Generator().manual_seed(9))
    first, second = (torch.autograd.grad(r, stacked, grad_outputs=direction) for r in (together, one_by_one))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-12)


def same_vmapped_gradient(function, *stacked):
    """A gradient taken inside of ``vmap``, as a training step does, is that of a loop over cells."""

    def loss(*cell):
        result = function(*cell)
        return (torch.view_as_real(result) if result.is_complex() else result).square().sum().sin()

    gradient = torch.func.grad(loss, argnums=tuple(range(len(stacked))))
    plain = [t.detach() for t in stacked]
    together = torch.func.vmap(gradient)(*plain)
    loop = [gradient(*cell) for cell in zip(*plain, strict=True)]
    torch.testing.assert_close(together, tuple(map(torch.stack, zip(*loop, strict=True))), rtol=0, atol=1e-12)


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("real", [True, False])
def test_products_of_turns(lead, turns, real):
    features, tables = random(*lead, 3), turn_arguments(2, turns, 3, real)
    assert gradcheck(lambda f: turn_matrices(f, tables, real), features)


@pytest.mark.parametrize("real", [True, False])
def test_products_of_turns_are_products_of_turns(real):
    rng = np.random.default_rng(0)
    even, odd = (rng.normal(size=(2, 3, 2, 2)) + (0 if real else 1j) * rng.normal(size=(2, 3, 2, 2)) for _ in range(2))
    angles, offset = rng.normal(size=(4, 2, 3)), rng.normal(size=(2, 3))
    features = rng.normal(size=4)
    tables = [torch.from_numpy(t.copy()) for t in turn_tables(even, odd, angles, offset, real)]
    a = np.einsum("f,fnr->nr", features, angles) + offset
    each = np.cos(a)[..., None, None] * even + np.sin(a)[..., None, None] * odd
    expected = np.stack([m[2] @ m[1] @ m[0] for m in each])
    found = turn_matrices(torch.from_numpy(features), tables, real).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("qubits", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_tensor_products_of_unitary_matrices(lead, qubits, dtype):
    parameters, generators = by_generators(*lead, qubits, dtype=dtype)
    traces = torch.from_numpy(trace_table(qubits))
    assert gradcheck(lambda p: layer_matrix(kron_matrices(rotated(p, generators), traces)), parameters)
    matrices = rotated(parameters, generators)
    expected = cellwise(lambda m: m, kron_matrices(matrices, traces).reshape(-1, 2**qubits, 2**qubits))
    flat = matrices.reshape(-1, qubits, 2, 2)
    for product, factors in zip(expected, flat, strict=True):
        plain = factors[0]
        for factor in factors[1:]:
            plain = torch.kron(plain.contiguous(), factor.contiguous())
        torch.testing.assert_close(product, plain, rtol=0, atol=1e-12)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("qubits", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_product_states(lead, qubits, dtype):
    angles = random(*lead, qubits, 2)
    columns = random(*lead, qubits, 2, 2, dtype=dtype, seed=1)
    if qubits < 5:
        assert gradcheck(product_state, (angles, columns))
    states = product_state(angles, columns)
    assert states.shape == (*lead, 2**qubits, 2)
    waves = torch.stack([angles.cos(), angles.sin()], dim=-1).to(dtype)  # (*, Q, B, 2)
    vectors = torch.einsum("...qij,...qbj->...bqi", columns, waves)
    plain = vectors[..., 0, :]
    for qubit in range(1, qubits):
        plain = (plain.unsqueeze(-1) * vectors[..., qubit, :].unsqueeze(-2)).flatten(-2)
    torch.testing.assert_close(states, plain.mT, rtol=0, atol=1e-12)


def waves(angles):
    return wave_state(angles, *map(torch.from_numpy, wave_tables(angles.shape[-2])))


@pytest.mark.sampled(4)
@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("qubits", [1, 2, 3, 5, 6])
def test_real_product_states(lead, qubits):
    angles = random(*lead, qubits, 2)
    assert gradcheck(waves, angles)
    columns = torch.eye(2, dtype=torch.float64).expand(*lead, qubits, 2, 2)
    torch.testing.assert_close(waves(angles), product_state(angles, columns), rtol=0, atol=1e-12)


@pytest.mark.parametrize("lead", LEADS)
def test_a_complex_matrix_on_real_states(lead):
    matrix, states = random(*lead, 4, 4, dtype=torch.complex128), random(*lead, 4, 3, seed=1)
    assert gradcheck(apply_to_real, (matrix, states))
    whole = matrix @ states.to(matrix.dtype)
    torch.testing.assert_close(
        apply_to_real(matrix, states), torch.cat([whole.real, whole.imag], -2), rtol=0, atol=1e-12
    )


@pytest.mark.sampled(6)
@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize(("size", "after"), [(8, 1), (2, 1), (2, 4), (2, 2), (4, 2)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_a_matrix_on_neighbouring_qubits(lead, size, after, dtype):
    matrix = unitaries(*lead, size=size, dtype=dtype).requires_grad_()
    states = random(*lead, 8, 3, dtype=dtype, seed=1)
    assert gradcheck(lambda m, s: apply(m, s, after), (matrix, states))
    before = 8 // (size * after)
    whole = torch.stack(
        [
            torch.kron(torch.kron(torch.eye(before, dtype=dtype), m), torch.eye(after, dtype=dtype))
            for m in matrix.reshape(-1, size, size)
        ]
    ).view(*lead, 8, 8)
    torch.testing.assert_close(apply(matrix, states, after), whole @ states, rtol=0, atol=1e-12)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("after", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_a_layer_on_neighbouring_qubits(lead, after, dtype):
    parameters, generators = by_generators(*lead, 2, dtype=dtype)
    traces = torch.from_numpy(trace_table(2))
    states = random(*lead, 8, 3, dtype=dtype, seed=1)

    def layer(p, s):
        return apply_layer(kron_matrices(rotated(p, generators), traces), s, after)

    assert gradcheck(layer, (parameters, states))
    matrices = kron_matrices(rotated(parameters, generators), traces)
    torch.testing.assert_close(layer(parameters, states), apply(matrices, states, after), rtol=0, atol=1e-12)


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_permutations(lead, dtype):
    source = torch.tensor([2, 0, 3, 1])
    states = random(*lead, 4, 3, dtype=dtype)
    assert gradcheck(lambda s: permute(s, source, source.argsort()), states)
    torch.testing.assert_close(permute(states, source, source.argsort()), states[..., source, :], rtol=0, atol=0)


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_sums_of_squares(lead, dtype):
    table = random(2, 4, seed=1).detach()
    states = random(*lead, 4, 3, dtype=dtype)
    with_norm = torch.cat([table, torch.ones(1, 4, dtype=torch.float64)])
    assert gradcheck(lambda s: squares(s, with_norm, 2 * table.T)[0], states)
    expected = table @ states.abs().square(), states.abs().square().sum(-2, keepdim=True)
    found = squares(states, with_norm, 2 * table.T)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert not found[1].requires_grad


@pytest.mark.parametrize("lead", LEADS)
def test_linear_maps(lead):
    table = random(2, 4, seed=1).detach()
    features = random(*lead, 3, 4)
    assert gradcheck(lambda f: linear(f, table), features)
    torch.testing.assert_close(linear(features, table), table @ features.mT, rtol=0, atol=1e-12)


def test_tensor_products_of_vectors():
    vectors = random(2, 5, 2, dtype=torch.complex128)
    expected = torch.einsum("ca,cb,cd,ce,cf->cabdef", *vectors.unbind(1)).reshape(2, -1)
    torch.testing.assert_close(fold_vectors(vectors), expected, rtol=0, atol=1e-12)


def kernel_cases(dtype: torch.dtype):
    """Each kernel with stacked arguments, three cells."""
    real = not dtype.is_complex
    tables = turn_arguments(2, 2, 3, real)
    traces = torch.from_numpy(trace_table(3))
    source, table, signs = torch.tensor([2, 0, 3, 1]), random(2, 4).detach(), random(3, 4).detach()
    parameters, generators = by_generators(3, 3, dtype=dtype)
    states, longer = (random(3, size, 5, dtype=dtype, seed=2) for size in (4, 8))
    return {
        "turn_matrices": (lambda f: turn_matrices(f, tables, real), [random(3, 3)]),
        "kron_matrices": (lambda p: layer_matrix(kron_matrices(rotated(p, generators), traces)), [parameters]),
        "apply_layer": (
            lambda p, s: apply_layer(kron_matrices(rotated(p, generators), traces), s),
            [parameters, longer],
        ),
        "product_state": (product_state, [random(3, 2, 5), random(3, 2, 2, 2, dtype=dtype, seed=1)]),
        "wave_state": (waves, [random(3, 2, 5)]),
        "apply_to_real": (apply_to_real, [random(3, 4, 4, dtype=torch.complex128, seed=3), random(3, 4, 5)]),
        "apply": (lambda m, s: apply(m, s, 2), [unitaries(3, dtype=dtype).requires_grad_(), states]),
        "permute": (lambda s: permute(s, source, source.argsort()), [states]),
        "squares": (lambda s: squares(s, signs, 2 * signs[:2].T)[0], [states]),
        "linear": (lambda f: linear(f, table), [random(3, 5, 4)]),
    }


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("name", kernel_cases(torch.float64))
@pytest.mark.sampled(8)
def test_a_stack_of_cells_is_a_loop_over_cells(name, dtype):
    function, stacked = kernel_cases(dtype)[name]
    same_under_vmap(function, *stacked)
    same_vmapped_gradient(function, *stacked)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_arguments_that_cells_share(dtype):
    columns = random(2, 2, 2, dtype=dtype, seed=1)
    angles = random(3, 2, 5)
    together = torch.func.vmap(product_state, in_dims=(0, None))(angles, columns)
    one_by_one = torch.stack([product_state(a, columns) for a in angles])
    first, second = (torch.autograd.grad(r.abs().sum(), (angles, columns)) for r in (together, one_by_one))
    torch.testing.assert_close(first, second, rtol=0, atol=1e-12)


def test_cells_along_another_axis():
    states = random(4, 3, 5, dtype=torch.complex128)
    source = torch.tensor([2, 0, 3, 1])
    together = torch.func.vmap(lambda s: permute(s, source, source.argsort()), in_dims=1, out_dims=1)(states)
    torch.testing.assert_close(together, states[source], rtol=0, atol=0)
