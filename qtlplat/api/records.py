"""A list of records that can be had as a pandas DataFrame too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from qtlplat.api.error_notes import explained
from qtlplat.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
INSTALL = "pip install 'qtlplat[pandas]'"


class Records(list[T]):
    """An ordinary list, with its items as rows of a table.

    Args:
        items: In their order.
        row: What an item is in a table, by column; a column that an item lacks is missing there.
    """

    def __init__(self, items: Iterable[T], row: Callable[[T], Mapping[str, Any]]) -> None:
        super().__init__(items)
        self._row = row

    def rows(self) -> list[dict[str, Any]]:
        """The items as plain values by column."""
        return [dict(self._row(item)) for item in self]

    @explained
    def frame(self) -> pd.DataFrame:
        """The items as a pandas DataFrame, one row each, in this order.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ConfigError("tables need pandas", fix=INSTALL) from error
        return pd.DataFrame.from_records(self.rows())
