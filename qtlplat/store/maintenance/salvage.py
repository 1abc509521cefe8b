"""Reading what can be read of a damaged database, from a private copy: past broken pages, row by row."""

from __future__ import annotations

import os
import re
import sqlite3
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from qtlplat.store.backends import own_schema
from qtlplat.store.backends.copies import JOURNALS
from qtlplat.store.backends.sqlite_file import HEADER_BYTES, MAGIC, beside, header
from qtlplat.store.core import schema
from qtlplat.store.core.damage import lenient_text
from qtlplat.store.core.location import StoreLocation

_PAGE = 4096  # what SQLite makes, and so every store of ours has
_MORE_PAGES = 1000
_CHUNK = 1 << 20
Row = tuple[Any, ...]


def copy_readable(source: Path, target: Path) -> int:
    """Copy a file, zeros in place of what the disk cannot read; returns how many bytes these are. Raises OSError."""
    lost = 0
    with source.open("rb") as read, target.open("xb") as written:
        size = os.fstat(read.fileno()).st_size
        for start in range(0, size, _CHUNK):
            end = min(start + _CHUNK, size)
            try:
                written.write(os.pread(read.fileno(), end - start, start))
                continue
            except OSError:
                pass
            for place in range(start, end, _PAGE):
                length = min(_PAGE, end - place)
                try:
                    written.write(os.pread(read.fileno(), length, place))
                except OSError:
                    written.write(bytes(length))
                    lost += length
    return lost


def open_copy(location: StoreLocation, folder: Path) -> sqlite3.Connection | None:
    """A connection to a copy of the database in `folder`, repaired until tables can be read; None if that fails.

    Tries the copy as it is, so that the journal of a killed writer is rolled back; then without journal and with the
    present number of pages instead of the header's; then with a new first page that leads to the list of tables.
    """
    head = header(location)
    is_ours = head[68:72] == struct.pack(">I", schema.APPLICATION_ID)
    for attempt in range(3):
        # the last time, a store may be one from which the table of its revision was dropped
        needed = {"runs"} if attempt == 2 and is_ours else {"runs", schema.VERSION_TABLE}
        copy = folder / f"copy{attempt}.db"
        copy_readable(location.path, copy)
        if attempt:
            size = _mend_header(copy)
            if attempt > 1:
                _mend_first_page(copy, size)
        else:
            for suffix in JOURNALS[:2]:
                if (journal := beside(location, suffix)).is_file():
                    copy_readable(journal, folder / f"{copy.name}{suffix}")
        connection = _opened(copy)
        if needed <= _tables(connection):
            _mend_definitions(connection)
            connection.close()
            connection = _opened(copy)
            _tables(connection)
            return connection
        connection.close()
    return None


def _opened(copy: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(copy, isolation_level=None)
    connection.text_factory = lenient_text
    return connection


def _mend_definitions(connection: sqlite3.Connection) -> None:
    """Give tables of which SQLite cannot make out the definition the one that they had when they were made."""
    for kind, name, _, definition in own_schema.own_tables(schema.REVISIONS[-1]):
        if kind == "table" and not _is_defined(connection, name):
            statement = "UPDATE sqlite_schema SET sql = ? WHERE name = ? AND rootpage > 0"
            with suppress(sqlite3.Error, UnicodeDecodeError):
                connection.execute(statement, (definition, name))


def _is_defined(connection: sqlite3.Connection, table: str) -> bool:
    try:
        connection.execute(f'SELECT 1 FROM "{table}" LIMIT 0')  # noqa: S608 -- names of our own schema
    except sqlite3.Error as error:
        return not str(error).startswith("no such table")
    except UnicodeDecodeError:
        return False
    return True


def _tables(connection: sqlite3.Connection) -> set[str]:
    """Names of the tables, as far as they can be read."""
    # a broken page is then an error, not nonsense; a view of which the text is broken is passed over
    connection.executescript("PRAGMA cell_size_check = ON; PRAGMA writable_schema = ON")
    for _ in range(2):  # with a broken view, only what comes after the first statement knows the rest
        with suppress(sqlite3.Error, UnicodeDecodeError):  # the error quotes what is broken
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return set()


def _mend_header(copy: Path) -> int:
    """Give the file a header that says no more than what has to be known to read it; returns the size of a page."""
    with copy.open("r+b") as file:
        head = bytearray(file.read(HEADER_BYTES).ljust(HEADER_BYTES, b"\0"))
        (size,), (pages,) = struct.unpack(">H", head[16:18]), struct.unpack(">I", head[28:32])
        if not head.startswith(MAGIC) or (size != 1 and (size < 512 or size & (size - 1))):
            size, pages = _PAGE, 0
        head[:] = bytes(HEADER_BYTES)
        head[:16] = MAGIC
        # page size; a rollback journal, no reserved space, and three constants
        head[16:24] = struct.pack(">HBBBBBB", size, 1, 1, 0, 64, 32, 32)
        head[44:48] = struct.pack(">I", 4)  # format of the schema
        head[56:60] = struct.pack(">I", 1)  # text is UTF-8
        head[68:72] = struct.pack(">I", schema.APPLICATION_ID)
        file.seek(0)
        file.write(head)
        page = 65536 if size == 1 else size
        there = -(-copy.stat().st_size // page)
        # a table whose first page is cut off makes SQLite refuse all: give it pages, of which it will say what they are
        file.truncate((max(there, min(pages, 2 * there)) + _MORE_PAGES) * page)
    return page


# as a list of tables begins a row in SQLite's format: kind, name, table
_SCHEMA_ROW = re.compile(rb"table(\w{3,64}?)\1|indexsqlite_autoindex_|index[a-z]\w+CREATE (UNIQUE )?INDEX")
_LEAF, _INTERIOR = 13, 5


def _mend_first_page(copy: Path, size: int) -> None:
    """Replace the first page, of which nothing can be read, by one that leads to what look like pages of tables' names.

    https://sqlite.org/fileformat2.html#b_tree_pages: an interior page, with a pointer to each page below it.
    """
    data = copy.read_bytes()
    starts = range(size, len(data) - _MORE_PAGES * size, size)
    leaves = [start // size + 1 for start in starts
              if data[start] == _LEAF and _SCHEMA_ROW.search(data, start, start + size)][:50]  # fmt: skip
    if not leaves:
        return
    *left, last = leaves
    cells = [struct.pack(">IB", page, number) for number, page in enumerate(left, 1)]
    content = size - 5 * len(cells)
    head = struct.pack(">BHHHBI", _INTERIOR, 0, len(cells), content % 65536, 0, last)
    pointers = b"".join(struct.pack(">H", content + 5 * place) for place in range(len(cells)))
    page = data[:HEADER_BYTES] + head + pointers
    with copy.open("r+b") as file:
        file.write(page.ljust(content, b"\0") + b"".join(cells))


def every_row(connection: sqlite3.Connection, table: str, columns: Sequence[str], order: Sequence[str],
              where: str = "1", values: Sequence[Any] = ()) -> tuple[dict[Row, Row], bool]:  # fmt: skip
    """Rows of a table by their key (the columns `order`), and whether these are all.

    Read from the front up to a broken page, then from the back.
    """
    found: dict[Row, Row] = {}
    names = ", ".join(f'"{name}"' for name in columns)
    for direction in ("ASC", "DESC"):
        keys = ", ".join(f'"{name}" {direction}' for name in order)
        query = f'SELECT {names} FROM "{table}" WHERE {where} ORDER BY {keys}'  # noqa: S608 -- names of our own schema
        if _collect(connection, query, values, columns, order, found):
            return found, True
    return found, False


def _collect(connection: sqlite3.Connection, query: str, values: Sequence[Any], columns: Sequence[str],
             order: Sequence[str], found: dict[Row, Row]) -> bool:  # fmt: skip
    try:
        for row in connection.execute(query, tuple(values)):
            found.setdefault(tuple(row[columns.index(name)] for name in order), row)
    except (sqlite3.Error, OverflowError):
        return False
    return True


def record_ids(connection: sqlite3.Connection, owner: str, others: Iterable[tuple[str, str]]) -> list[str]:
    """Ids of all records of a sort of which anything can be read, in the order of their rows.

    owner: their table; others: tables and columns that refer to it.
    """
    rows, whole = every_row(connection, owner, ("rowid", "id"), ("rowid",))
    found = [row[1] for _, row in sorted(rows.items())]
    if not whole:
        for table, column in ((owner, "id"), *others):
            for direction in ("ASC", "DESC"):
                found += _values(connection, table, column, direction)
    return list(dict.fromkeys(record for record in found if isinstance(record, str) and record.isprintable()))


def _values(connection: sqlite3.Connection, table: str, column: str, direction: str) -> Iterator[str]:
    query = f'SELECT DISTINCT "{column}" FROM "{table}" ORDER BY "{column}" {direction}'  # noqa: S608 -- as above
    try:
        for (value,) in connection.execute(query):
            yield value
    except sqlite3.Error:
        return
