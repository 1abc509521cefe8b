"""What was built and tried before in this process: many runs of one head, or on one backbone, need it once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from qtlplat.catalog.plan import canonical_json

T = TypeVar("T")
MOST_KEPT = 64  # results; each is as large as a backbone at most


class Tried:
    """Results by what decides them. A process that prepares one run needs none; one that prepares many keeps one."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Any] = OrderedDict()

    def once(self, what: str, decides: Any, make: Callable[[], T]) -> T:
        """The result of `make`, or an earlier one.

        Args:
            what: A name for the kind of result.
            decides: All that the result depends on, JSON-able; components by `ComponentChoice.identity`.
            make: Called if there is no result yet; an error is raised again the next time.
        """
        key = canonical_json([what, decides])
        if key in self._known:
            self._known.move_to_end(key)
            found: T = self._known[key]
            return found
        made = self._known[key] = make()
        while len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)
        return made
