"""The text of docs/reference/tables.md: every view, table and column of the store, and queries to start from."""

from __future__ import annotations

from qtlplat.store.read.sql.column_docs import TableMeaning, tables, views
from qtlplat.store.read.sql.example_queries import EXAMPLES

OPENING = """# Tables and views

What the [store](store.md) holds, as `qtlplat sql --schema` prints it. Columns of type JSON hold strict JSON text, to be
read with `json_extract`. In the views a number that is none (NaN) is NULL; in the tables it is the text `'NaN'`
([why](store.md#nan-and-infinities)). Runs in the trash are in the tables, and in no view."""

QUERIES = """## Queries to start from

`qtlplat sql` takes them as they stand; so does any program, where its SQLite has `sqrt`."""


def page() -> str:
    """The whole page, but for the notice that it is generated."""
    examples = "\n\n".join(f"-- {question}\n{query.strip()};" for question, query in EXAMPLES.items())
    parts = [OPENING, "## Views", *map(_described, views()), "## Tables", *map(_described, tables())]
    return "\n\n".join([*parts, QUERIES, f"```sql\n{examples}\n```"]) + "\n"


def _described(table: TableMeaning) -> str:
    keys = f" One row per {', '.join(f'`{name}`' for name in table.key)}." if table.key else ""
    rows = [f"| `{column.name}` | {column.type} | {column.meaning} |" for column in table.columns]
    head = "| column | type | meaning |\n| --- | --- | --- |"
    return "\n".join([f"### {table.name}\n\n{table.meaning}{keys}\n\n{head}", *rows])
