"""A compiled circuit: a batched, differentiable torch program with a handful of dense operations.

Everything that depends on weights alone is done once per step, not once per sample. States are (2^Q, B), samples last;
further axes (the cells of a run) are added with ``torch.func.vmap``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qtlplat.quantum.compiler.angle_expressions import Values
from qtlplat.quantum.compiler.kernel import linear
from qtlplat.quantum.compiler.layout import Layer, Layout, groups
from qtlplat.quantum.compiler.measure import Measurement
from qtlplat.quantum.compiler.product_states import fold_vectors, product_state, wave_state
from qtlplat.quantum.compiler.rotations import kron_matrices, turn_matrices
from qtlplat.quantum.compiler.schedule import Dense, Diagonal, Permutation, Step
from qtlplat.quantum.compiler.states import apply, apply_layer, apply_to_real, layer_matrix, permute
from qtlplat.quantum.compiler.tables import program_tables

ALWAYS_DOUBLE = frozenset({"turn0", "turn1"})  # see `turn_tables`
ANGLE_MAPS = ("turn3", ".weights", ".inputs", ".offset")  # ends of the names of maps to angles


class Program:
    """Runs a circuit: (inputs (B, n_inputs), weights by name) -> (B, n_outputs) in the dtype of the inputs.

    values: where angles come from; layout: the steps; start: the initial state (2^Q,), the number of the value that
    is it, or None if the layout begins with a product state; double: compute in complex128 instead of complex64;
    real: every amplitude is real.
    """

    def __init__(
        self,
        values: Values,
        layout: Layout,
        start: npt.NDArray[np.complex128] | int | None,
        measurement: Measurement,
        *,
        double: bool,
        real: bool,
    ) -> None:
        self.values, self.layout, self.start, self.measurement = values, layout, start, measurement
        self.qubits, self.real = layout.qubits, real
        self.dtype = torch.float64 if double else torch.float32
        # Sums and products may be many times 2 pi, and what is rounded off there is lost for good.
        self.angle_dtype = self.dtype if values.are_chosen_only else torch.float64
        self.groups = groups(layout.qubits)
        arrays = program_tables(values, layout, start, measurement, real=real)
        cpu = {name: self._as_tensor(name, array) for name, array in arrays.items()}
        self._tables: dict[torch.device, dict[str, Tensor]] = {torch.device("cpu"): cpu}

    def __call__(self, inputs: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Measurements (B, n_outputs) for inputs (B, n_inputs)."""
        tables = self._tables_on(inputs.device)
        whole = [weights[name] for name in self.values.names]
        parts = [w.reshape(-1) for w in whole] or [inputs.new_zeros(0)]
        flat = (torch.cat(parts) if len(parts) > 1 else parts[0]).to(self.angle_dtype)
        of_weights = self.values.weight_features(flat, whole)
        of_inputs = self.values.input_features(inputs.to(self.angle_dtype), flat, whole)
        run = _Run(self, tables, of_weights, of_inputs, lambda number: self.values.array(number, inputs, whole))
        states = run.states()
        outputs = self.measurement(states, tables)
        if len(outputs) != len(inputs):  # nothing depended on the inputs
            outputs = outputs.expand(len(inputs), -1)
        return outputs.to(inputs.dtype)

    def __deepcopy__(self, memo: Any) -> Program:
        """Itself: nothing of it ever changes."""
        return self

    def with_precision(self, *, double: bool) -> Program:
        """The same program in complex128 or complex64."""
        if double == (self.dtype == torch.float64):
            return self
        return Program(self.values, self.layout, self.start, self.measurement, double=double, real=self.real)

    @property
    def table_bytes(self) -> int:
        """What its constants take."""
        return sum(t.numel() * t.element_size() for t in self._tables[torch.device("cpu")].values())

    def _tables_on(self, device: torch.device) -> dict[str, Tensor]:
        if device not in self._tables:
            cpu = self._tables[torch.device("cpu")]
            self._tables[device] = {name: table.to(device) for name, table in cpu.items()}
        return self._tables[device]

    def _as_tensor(self, name: str, array: npt.NDArray[np.generic]) -> Tensor:
        if np.issubdtype(array.dtype, np.integer):
            return torch.from_numpy(np.ascontiguousarray(array))
        if np.iscomplexobj(array) and self.real:
            array = array.real
        dtype = self.angle_dtype if name.endswith(ANGLE_MAPS) else self.dtype
        dtype = torch.float64 if name in ALWAYS_DOUBLE else dtype
        return torch.from_numpy(np.ascontiguousarray(array)).to(dtype.to_complex() if np.iscomplexobj(array) else dtype)


class _Run:
    """One execution of a program."""

    def __init__(
        self, program: Program, tables: dict[str, Tensor], of_weights: Tensor, of_inputs: Tensor, array: Any
    ) -> None:
        self.program, self.tables, self.array = program, tables, array
        self.of_weights, self.of_inputs = of_weights, of_inputs
        self.matrices: Tensor | None = None  # columns (Q, 2, 2) of the product state that a turning layer makes
        self.layers: list[Sequence[Tensor]] = []  # per group of qubits, per layer (2^k, 2^k), but for the first layer
        turns = program.layout.turns
        if turns is not None:
            first = program.layout.product_layer + 1
            rest = self._turn(turns.value.shape)
            if first:
                start, rest = rest.split([1, len(rest) - 1])
                self.matrices = start.squeeze(0)
            if len(rest):
                parts = rest.split([len(g) for g in program.groups], dim=1) if len(program.groups) > 1 else [rest]
                self.layers = [
                    kron_matrices(part, tables[f"traces{len(group)}"]).unbind()
                    for part, group in zip(parts, program.groups, strict=True)
                ]

    def states(self) -> Tensor:
        """The final states (2^Q, B), or (2^Q, 1) where nothing depends on the inputs.

        Complex ones may come as (2 * 2^Q, B) real numbers: all real parts, then all imaginary ones.
        """
        states = self._start()
        steps = list(enumerate(self.program.layout.steps))
        while steps:
            number, step = steps[0]
            if self._takes_inputs(step):
                states = self._apply(states, number, step)
                steps = steps[1:]
                continue
            length = next((i for i, (_, s) in enumerate(steps) if self._takes_inputs(s)), len(steps))
            states = self._apply_block(states, steps[:length])
            steps = steps[length:]
        return states

    def _takes_inputs(self, step: Layer | Step) -> bool:
        if isinstance(step, Diagonal):
            return step.of_inputs
        if isinstance(step, Dense):
            return step.value is not None and self.program.values.depends_on_inputs[step.value]
        return False

    def _apply_block(self, states: Tensor, steps: Sequence[tuple[int, Layer | Step]]) -> Tensor:
        """Steps of weights alone: one by one, or, where that is less work, as one matrix for all samples."""
        while steps and not isinstance(steps[0][1], Layer):
            states = self._apply(states, *steps[0])
            steps = steps[1:]
        if not steps:
            return states
        # In multiples of one multiplication of a state: the first layer's matrix is there, the others multiply it.
        heavy = sum(isinstance(step, Layer | Dense) for _, step in steps)
        samples = states.shape[-1]
        alone, together = samples * heavy, samples + 2**self.program.qubits * (heavy - 1)
        from_real = not states.is_complex() and not self.program.real
        if len(self.program.groups) > 1 or (together >= alone and not from_real):
            for number, step in steps:
                states = self._apply(states, number, step)
            return states
        number, step = steps[0]
        assert isinstance(step, Layer)
        matrix = self._layer(number, step)[0]
        if step.fixed is None:
            matrix = layer_matrix(matrix)
        for number, step in steps[1:]:
            matrix = self._apply(matrix, number, step)
        return apply_to_real(matrix, states) if from_real else apply(matrix, states)

    def _apply(self, states: Tensor, number: int, step: Layer | Step) -> Tensor:
        """One step on states (2^Q, B), or on a matrix (2^Q, 2^Q)."""
        tables = self.tables
        if isinstance(step, Layer):
            return self._apply_layer(states, self._layer(number, step), step.active)
        if isinstance(step, Permutation):
            return permute(states, tables[f"{number}.source"], tables[f"{number}.inverse"])
        if not self.program.real and not states.is_complex():
            states = states.to(self.program.dtype.to_complex())
        if isinstance(step, Diagonal):
            return self._apply_phases(states, number, step)
        assert isinstance(step, Dense)
        front = permute(states, tables[f"{number}.source"], tables[f"{number}.inverse"])
        changed = self._apply_dense(front, number, step)
        return permute(changed, tables[f"{number}.inverse"], tables[f"{number}.source"])

    def _apply_dense(self, states: Tensor, number: int, step: Dense) -> Tensor:
        """A matrix on the last qubits; it may be another one for every sample."""
        if step.value is None:
            return apply(self.tables[f"{number}.matrix"], states)
        matrix = self.array(step.value).to(states.dtype)
        if matrix.dim() == 2:
            return apply(matrix, states)
        blocks = states.reshape(-1, matrix.shape[-1], states.shape[-1])
        return torch.einsum("bij,rjb->rib", matrix, blocks.expand(-1, -1, len(matrix))).flatten(0, 1)

    def _layer(self, number: int, step: Layer) -> list[Tensor]:
        if step.fixed is not None:
            return [self.tables[f"{number}.group{g}"] for g in range(len(self.program.groups))]
        return [group[step.number - self.program.layout.product_layer - 1] for group in self.layers]

    def _apply_layer(self, states: Tensor, matrices: Sequence[Tensor], active: frozenset[int]) -> Tensor:
        """Each group's matrix on its qubits."""
        after = 2**self.program.qubits
        for group, matrix in zip(self.program.groups, matrices, strict=True):
            after //= 2 ** len(group)
            if not active.isdisjoint(group):
                states = apply_layer(matrix, states, after)
        return states

    def _apply_phases(self, states: Tensor, number: int, step: Diagonal) -> Tensor:
        fixed = self.tables.get(f"{number}.fixed")
        if step.rates:
            angles = self._angles(f"{number}.angle")
            waves = torch.cos(angles), torch.sin(angles)
            phases = torch.complex(*(wave.to(self.program.dtype) for wave in waves))
            states = states * (phases if fixed is None else phases * fixed)
        elif fixed is not None:
            states = states * fixed
        return states

    def _start(self) -> Tensor:
        program, product = self.program, self.program.layout.product
        if product is None:
            if not isinstance(program.start, int):
                return self.tables["start"]
            state: Tensor = self.array(program.start).to(program.dtype.to_complex())
            return state.mT if state.dim() == 2 else state.unsqueeze(-1)
        if product.columns is None:
            return wave_state(self._angles("product"), self.tables["flips"], self.tables["signs"])
        columns = self.tables["columns"] if self.matrices is None else self.matrices
        if product.takes_inputs:
            return product_state(self._angles("product"), columns)
        return fold_vectors(columns[..., 0]).unsqueeze(-1)

    def _turn(self, shape: tuple[int, ...]) -> Tensor:
        """Matrices (L, Q, 2, 2) of the turning layers, of as many chunks as it takes."""
        tables = [self.tables[f"turn{i}"] for i in range(4)]
        chunks = turn_matrices(self.of_weights, tables, self.program.real).reshape(-1, *shape[1:], 2, 2)
        if len(chunks) == 1:
            return chunks.squeeze(0)
        result, *further = chunks.unbind()
        for following in further:
            result = following @ result
        return result

    def _angles(self, name: str) -> Tensor:
        """Angles (n, B), or (n, 1) where they do not depend on inputs."""
        result: Tensor | None = self.tables.get(f"{name}.offset")
        for kind, features in (("weights", self.of_weights.unsqueeze(0)), ("inputs", self.of_inputs)):
            table = self.tables.get(f"{name}.{kind}")
            if table is not None:
                part = linear(features, table)
                result = part if result is None else result + part
        assert result is not None
        return result
