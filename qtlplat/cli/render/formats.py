"""Listings as files and for other programs: CSV, Markdown, LaTeX and Parquet, with all values escaped.

Numbers keep all their digits and what is missing stays missing. In CSV, Markdown and LaTeX control characters are
spelled out; JSON and Parquet, which say where a text ends, keep them.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.cli.render.columns import Column, cell
from qtlplat.cli.render.terminal import clean
from qtlplat.conventions import strict
from qtlplat.errors import UsageError, safe_repr
from qtlplat.extras import require_packages

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

Rows = Sequence[Mapping[str, Any]]
SUFFIXES = {".csv": "csv", ".json": "json", ".parquet": "parquet", ".md": "md", ".tex": "latex"}
# A spreadsheet runs a cell that begins with one of these, wide ones too, as a formula. What already looks guarded is
# guarded once more, so that taking one apostrophe away always gives the text back.
_FORMULA = re.compile(r"'*[=+\-@＝＋－＠]")
_EXACT = 2**53  # up to which every integer is a float


def asked_for(output: Path, flag: str, force: bool, *, picture: bool = False) -> str:
    """The form of a listing that goes to a file, by the file's name.

    flag: the form that was asked for as well, or ''; picture: whether it may be a .png file.

    Raises UsageError for a name of no form, or of another one than the flag's, and where the file exists; ConfigError
    where a library is missing; StoreError if there is no such directory.
    """
    from qtlplat.cli.render.files import refuse

    known = {**SUFFIXES, ".png": "png"} if picture else SUFFIXES
    form = known.get(output.suffix.lower(), "")
    if not form:
        what = f"{safe_repr(str(output))} ends with none of {', '.join(known)}"
        raise UsageError(what, where="--output", fix="for example: -o runs.csv")
    if flag not in ("", form):
        raise UsageError(f"--{flag} and {safe_repr(output.name)} are two forms", where="--output", fix="leave one out")
    refuse(output, force)
    if form == "parquet":
        require_packages("parquet", "writing Parquet", "--output", ".csv, .json, .md and .tex need nothing")
    return form


def made(form: str, rows: Rows, columns: Sequence[Column]) -> bytes:
    """The rows as csv, md, latex or parquet."""
    if form == "parquet":
        return _parquet(rows, columns)
    makers: dict[str, Callable[[Rows, Sequence[Column]], str]] = {"csv": _csv, "md": _markdown, "latex": _latex}
    return makers[form](rows, columns).encode()


def _csv(rows: Rows, columns: Sequence[Column]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_csv_value(c.key) for c in columns])
    for row in rows:
        writer.writerow([_csv_value(row.get(c.key)) for c in columns])
    return out.getvalue()


def _csv_value(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, int | float):
        return value
    plain = json.dumps(strict(value)) if isinstance(value, list | tuple | Mapping) else clean(str(value))
    return f"'{plain}" if _FORMULA.match(plain) else plain


def _markdown(rows: Rows, columns: Sequence[Column]) -> str:
    from qtlplat.analysis.markup import markdown_text

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(map(markdown_text, cells))} |\n"

    rule = f"|{'|'.join(' ---: ' if c.right else ' --- ' for c in columns)}|\n"
    head = line([clean(c.title) for c in columns])
    return head + rule + "".join(line([cell(c, row) for c in columns]) for row in rows)


def _latex(rows: Rows, columns: Sequence[Column]) -> str:
    from qtlplat.analysis.markup import latex_number, latex_row, latex_text, plain

    def cells(row: Mapping[str, Any]) -> list[str]:
        return [(latex_number if c.right else latex_text)(plain(cell(c, row))) for c in columns]

    lines = [
        r"% A table by qtlplat, for \input; the preamble needs: \usepackage{booktabs}",
        rf"\begin{{tabular}}{{@{{}}{''.join('r' if c.right else 'l' for c in columns)}@{{}}}}",
        r"\toprule",
        latex_row([latex_text(plain(clean(c.title))) for c in columns]),
        r"\midrule",
        *(latex_row(cells(row)) for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _parquet(rows: Rows, columns: Sequence[Column]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    named = {clean(c.key): [row.get(c.key) for row in rows] for c in columns}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: _array(values) for name, values in named.items()}), sink)
    return bytes(sink.getvalue().to_pybytes())


def _array(values: Sequence[Any]) -> pa.Array:
    """Values of one type as that type; of several, or of none that Parquet has, as text (JSON where it was none)."""
    import pyarrow as pa

    kind = _type(values)
    if kind is None:
        return pa.array([None if value is None else _as_text(value) for value in values], pa.string())
    return pa.array(list(map(_plain, values)), kind)


def _type(values: Sequence[Any]) -> pa.DataType | None:
    """The narrowest type that holds all values exactly; None if there is none."""
    import pyarrow as pa

    present = [value for value in values if value is not None]
    kinds = {_kind(value) for value in present}
    if not kinds:
        return pa.null()
    if kinds == {list}:
        inner = _type([one for value in present for one in value])
        return None if inner is None else pa.list_(inner)
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in present):
        return pa.int64()
    if kinds <= {int, float} and float in kinds and all(abs(v) <= _EXACT for v in present if isinstance(v, int)):
        return pa.float64()
    return {frozenset({str}): pa.string(), frozenset({bool}): pa.bool_()}.get(frozenset(kinds))


def _kind(value: Any) -> type:
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind
    return list if isinstance(value, list | tuple) else object


def _plain(value: Any) -> Any:
    """A value as pyarrow takes it. Half characters, which no encoding has, are spelled out."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list | tuple):
        return list(map(_plain, value))
    return float(value) if isinstance(value, float) else value


def _as_text(value: Any) -> str:
    if isinstance(value, bool | int | float | list | tuple | Mapping):
        return json.dumps(strict(value))
    return str(_plain(str(value)))
