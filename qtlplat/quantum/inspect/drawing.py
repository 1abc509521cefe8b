"""Draws a circuit as SVG: wires are lines, gates are boxes, controls are dots. No other file formats here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from pennylane.measurements import ExpectationMP, ProbabilityMP
from pennylane.tape import QuantumScript

ROW, HEIGHT = 44, 28  # between wires; of a box
LETTER, PADDING, GAP, MARGIN = 8.2, 8, 10, 14
LEAST_WIDTH = 28.0
LONGEST_LABEL = 14
FILL = {"": "#ffffff", "input": "#cfe3f7", "weight": "#fde6c8", "measured": "#e4e4e4"}
LEGEND = (("input", "takes inputs"), ("weight", "takes weights"))
STYLE = "font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 13px"


@dataclass(frozen=True)
class _Item:
    """A gate or a measurement. labels: by wire; controls: whether the control is on 1, by wire; fill: key of FILL."""

    labels: dict[int, str]
    controls: dict[int, bool]
    fill: str

    @property
    def wires(self) -> list[int]:
        return sorted([*self.labels, *self.controls])

    @property
    def width(self) -> float:
        return max([LEAST_WIDTH, *(len(label) * LETTER + 2 * PADDING for label in self.labels.values())])


def draw_svg(tape: QuantumScript, qubits: int, kinds: Sequence[str]) -> str:
    """The SVG text of a circuit on wires 0 .. Q-1; kinds: for each operation '', 'input' or 'weight': how it is filled.

    Text is escaped, and characters that cannot be printed are replaced.
    """
    everything = [_gate(op, qubits, kind) for op, kind in zip(tape.operations, kinds, strict=True)]
    gates = _columns([item for item in everything if item.wires], qubits)
    measured = _columns([_measurement(m, qubits) for m in tape.measurements], qubits)
    left = MARGIN + len(str(qubits - 1)) * LETTER + GAP
    body: list[str] = []
    x = left
    for column in [*gates, *measured]:
        x += GAP
        width = max(item.width for item in column)
        for item in column:
            body += _draw(item, x + width / 2)
        x += width
    right = x + GAP
    wires = list(_wires(qubits, left, right))
    height = MARGIN + qubits * ROW
    legend = list(_legend({item.fill for item in everything}, left, height))
    total_height = height + (ROW if legend else 0)
    total_width = max(right + MARGIN, left + 2 * 150 + MARGIN if legend else 0)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total_width:.0f}" height="{total_height:.0f}" '
        f'viewBox="0 0 {total_width:.0f} {total_height:.0f}" style="{STYLE}">'
    )
    background = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return "\n".join([head, background, *wires, *body, *legend, "</svg>", ""])


def _columns(items: Sequence[_Item], qubits: int) -> list[list[_Item]]:
    """Items side by side, each as far to the left as those before it on the wires that it spans allow."""
    free = [0] * qubits
    columns: list[list[_Item]] = []
    for item in items:
        span = slice(item.wires[0], item.wires[-1] + 1)
        place = max(free[span])
        free[span] = [place + 1] * len(free[span])
        columns += [[] for _ in range(place + 1 - len(columns))]
        columns[place].append(item)
    return columns


def _gate(op: Any, qubits: int, kind: str) -> _Item:
    wires = [w for w in op.wires if w in range(qubits)]
    controls = [w for w in op.control_wires if w in wires] if len(op.control_wires) < len(op.wires) else []
    values = getattr(op, "control_values", None) or [True] * len(controls)
    targets = [w for w in wires if w not in controls] or wires
    label = _short(str(op.label() or op.name))
    return _Item(dict.fromkeys(targets, label), dict(zip(controls, map(bool, values), strict=False)), kind)


def _measurement(measurement: Any, qubits: int) -> _Item:
    wires = [w for w in measurement.wires if w in range(qubits)] or list(range(qubits))
    observable = getattr(measurement, "obs", None)
    if isinstance(measurement, ExpectationMP) and observable is not None:
        words = list(observable.pauli_rep or {})
        if len(words) == 1 and words[0]:
            letters = {w: f"⟨{letter}⟩" for w, letter in words[0].items() if w in range(qubits)}
            return _Item(letters, {}, "measured")
        return _Item(dict.fromkeys(wires, "⟨H⟩"), {}, "measured")
    text = "P" if isinstance(measurement, ProbabilityMP) else _short(type(measurement).__name__.removesuffix("MP"))
    return _Item(dict.fromkeys(wires, text), {}, "measured")


def _short(text: str) -> str:
    plain = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return plain if len(plain) <= LONGEST_LABEL else plain[: LONGEST_LABEL - 1] + "…"


def _y(wire: int) -> float:
    return MARGIN + (wire + 0.5) * ROW


def _draw(item: _Item, x: float) -> Iterator[str]:
    first, last = item.wires[0], item.wires[-1]
    if first != last:
        yield f'<line x1="{x:.1f}" y1="{_y(first)}" x2="{x:.1f}" y2="{_y(last)}" stroke="#222"/>'
    for wire, is_on in item.controls.items():
        yield f'<circle cx="{x:.1f}" cy="{_y(wire)}" r="5" fill="{"#222" if is_on else "#fff"}" stroke="#222"/>'
    for block in _blocks(sorted(item.labels)):
        label = item.labels[block[0]]
        if label == "X" and item.controls:
            yield from _circled_plus(x, _y(block[0]))
            continue
        if label == "SWAP":
            yield from (part for wire in block for part in _cross(x, _y(wire)))
            continue
        top, height = _y(block[0]) - HEIGHT / 2, _y(block[-1]) - _y(block[0]) + HEIGHT
        yield (
            f'<rect x="{x - item.width / 2:.1f}" y="{top}" width="{item.width:.1f}" height="{height}" rx="3" '
            f'fill="{FILL[item.fill]}" stroke="#222"/>'
        )
        yield _text(x, top + height / 2, label)


def _blocks(wires: Sequence[int]) -> list[list[int]]:
    """Runs of neighbouring wires, which share a box."""
    blocks: list[list[int]] = []
    for wire in wires:
        if blocks and blocks[-1][-1] == wire - 1:
            blocks[-1].append(wire)
        else:
            blocks.append([wire])
    return blocks


def _circled_plus(x: float, y: float) -> Iterator[str]:
    yield f'<circle cx="{x:.1f}" cy="{y}" r="10" fill="#fff" stroke="#222"/>'
    yield f'<path d="M{x - 10:.1f} {y}H{x + 10:.1f}M{x:.1f} {y - 10}V{y + 10}" stroke="#222"/>'


def _cross(x: float, y: float) -> Iterator[str]:
    yield f'<path d="M{x - 6:.1f} {y - 6}l12 12m0 -12l-12 12" stroke="#222" fill="none"/>'


def _wires(qubits: int, left: float, right: float) -> Iterator[str]:
    for wire in range(qubits):
        yield _text((MARGIN + left - GAP) / 2 + 2, _y(wire), str(wire))
        yield f'<line x1="{left:.1f}" y1="{_y(wire)}" x2="{right:.1f}" y2="{_y(wire)}" stroke="#777"/>'


def _legend(fills: set[str], x: float, y: float) -> Iterator[str]:
    for fill, words in LEGEND:
        if fill in fills:
            yield f'<rect x="{x:.1f}" y="{y + 12}" width="16" height="16" rx="3" fill="{FILL[fill]}" stroke="#222"/>'
            yield _text(x + 24, y + 20, words, "start")
            x += 150


def _text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    place = f'x="{x:.1f}" y="{y + 0.5}" text-anchor="{anchor}" dominant-baseline="central"'
    return f'<text {place} fill="#222">{escape(words)}</text>'
