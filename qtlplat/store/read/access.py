"""Reading transactions on a store, past damaged rows; the file is opened read-only."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from sqlalchemy import exc
from sqlalchemy.engine import Connection

from qtlplat.errors import StoreError, safe_repr
from qtlplat.store.core import damage, database, row_digests, schema
from qtlplat.store.core.columns import ForeignValueError
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.retry import LOG, nobody_waits

T = TypeVar("T")
MOST_NAMED = 5  # damaged runs in a warning


class DamagedRunError(StoreError):
    """A run that was asked for has damaged rows. run: its id."""

    def __init__(self, run: str, why: str, location: StoreLocation) -> None:
        fix = f"see all damage: qtlplat store check{location.flag}"
        super().__init__(f"run {shown_id(run)} is damaged: {why}", where=location.name, fix=fix)
        self.run = run


OPENED: weakref.WeakSet[Access] = weakref.WeakSet()  # all that are in use in this process


class Access:
    """Reads a store in transactions; no file stays open between them. on_wait: as of `Reader`.

    damaged: records that were found damaged and are left out since then, with the reason by id; named: ids of runs that
    were requested by id, which are never left out without an error.
    """

    def __init__(self, location: StoreLocation, on_wait: Callable[[], None] = nobody_waits) -> None:
        self.location, self._on_wait = location, on_wait
        self.damaged: dict[Any, str] = {}
        self.named: set[str] = set()
        self._past_definitions = False
        self._open()
        OPENED.add(self)

    def _open(self) -> None:
        # keeps compiled queries, and the connection to a server
        past = self._past_definitions
        self._engine = database.engine(
            self.location, write=False, keep=True, past_definitions=past, hidden=list(self.damaged)
        )
        weakref.finalize(self, self._engine.dispose)

    def read(self, read: Callable[[Connection], T], of: Collection[str] = (), *, whole: bool = False) -> T | None:
        """Call `read` in one read-only transaction; None if the store has no tables. For this room's modules.

        If rows are damaged, it is called without the records that they belong to, and a warning names these. of:
        ids of runs that are asked for: DamagedRunError if one of them is damaged. whole: StoreError if anything is.
        """
        if not database.has_begun(self.location):
            return None
        with database.translated(self.location):
            for large in (False, True):
                self.refuse_damaged(of)
                try:
                    return self._in_time(read)
                except (exc.DBAPIError, ForeignValueError) as error:
                    if whole or not damage.is_of_a_value(error) or not self._leave_out(large=large):
                        raise
            self.refuse_damaged(of)
            return self._in_time(read)

    def past_damage(self, make: Callable[[], T]) -> T:
        """What `make` returns; called again if a run turns out damaged meanwhile that `make` has chosen by itself."""
        while True:
            try:
                return make()
            except DamagedRunError as error:
                if error.run in self.named:
                    raise

    def edited(self) -> DamagedRunError | None:
        """That rows of a run that was requested by id are not as they were stored; None if all are."""
        if not database.has_begun(self.location):
            return None
        with self._engine.begin() as connection:
            for run in [run for owner, run in row_digests.ended(connection) if run in self.named]:
                kept = row_digests.sealed(connection).get(run, {})
                if changed := row_digests.changed(connection, "runs", run, kept):
                    return DamagedRunError(run, f"not as stored: rows of {', '.join(changed)}", self.location)
        return None

    def refuse_damaged(self, of: Collection[str]) -> None:
        """Raise DamagedRunError if one of these runs is known to be damaged."""
        for record in self.damaged:
            if record in of:
                raise DamagedRunError(record, self.damaged[record], self.location)

    def _in_time(self, read: Callable[[Connection], T]) -> T | None:
        try:
            return database.reading(self.location, lambda: self._read_once(read), self._on_wait)
        except (exc.DBAPIError, UnicodeDecodeError) as error:
            if not self._pass_definitions(error):
                raise
            return database.reading(self.location, lambda: self._read_once(read), self._on_wait)

    def _pass_definitions(self, error: BaseException) -> bool:
        """Read past tables and views of which the definition is broken from now on; returns whether that is new."""
        broken = isinstance(error, UnicodeDecodeError) or "malformed database schema" in str(error)
        if self._past_definitions or not broken:
            return False
        self._past_definitions = True
        self._engine.dispose()
        self._open()
        flag = self.location.flag
        LOG.warning("definitions of tables or views are damaged; list all damage: qtlplat store check%s", flag)
        return True

    def _leave_out(self, *, large: bool) -> bool:
        """Find damaged records, and read without them from now on; returns whether it helps to read again.

        large: look into large tables too.
        """
        past = self._past_definitions
        lenient = database.engine(self.location, write=False, lenient=True, past_definitions=past)
        with lenient.begin() as connection:
            found: dict[Any, str] = {}
            for bad in damage.bad_values(connection, large=large):
                found.setdefault(bad.record, f"{bad.place}: {bad.why}")
        return self.leave_out(found) or not large

    def leave_out(self, found: Mapping[Any, str]) -> bool:
        """Read without these damaged records from now on, and say so; returns whether any is new. found: why, by id."""
        new = [record for record in found if record not in self.damaged]
        self.damaged.update(found)
        if new:
            self._engine.dispose()
            self._open()
            ids = ", ".join(map(shown_id, new[:MOST_NAMED])) + (", ..." if len(new) > MOST_NAMED else "")
            LOG.warning("left out, damaged: %s; list all damage: qtlplat store check%s", ids, self.location.flag)
        return bool(new)

    def _read_once(self, read: Callable[[Connection], T]) -> T | None:
        with self._engine.begin() as connection:
            found = database.revision(connection, self.location)
            if found is None:
                return None
            if found != schema.REVISIONS[-1]:
                raise StoreError(
                    f"the store has the older schema {safe_repr(found)}",
                    where=self.location.name,
                    fix="qtlplat store upgrade (it makes a backup first)",
                )
            return read(connection)


def shown_id(record: Any) -> str:
    """An id as it is; one that is no id, quoted."""
    return record if isinstance(record, str) and re.fullmatch(r"[0-9a-f]{16}", record) else safe_repr(record, 40)
