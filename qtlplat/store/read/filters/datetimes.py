"""Times as people write them in filters: ISO dates and times, today, yesterday, ``7 days ago``; all in UTC."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

DAY = timedelta(days=1)
# what units are called, in singular or plural, and in `timedelta`
_UNITS = {name: unit for unit in ("seconds", "minutes", "hours", "days", "weeks") for name in (unit[0], unit[:-1])}
_UNITS |= {"sec": "seconds", "min": "minutes"}
FORMS = "2026-03-01, '2026-03-01 14:30', today, yesterday, '3 h ago', '7 days ago' (s, min, h, days, weeks); all in UTC"


@dataclass(frozen=True)
class Moment:
    """A time as the store writes it, or a whole day. end: where the day ends, None for a point in time."""

    start: str
    end: str | None = None

    def bounds(self, operator: str) -> tuple[tuple[str, str], ...]:
        """What `operator` (= < <= > >=) asks of a stored time, as pairs of operator and time that all hold."""
        if operator == "=":
            return (("=", self.start),) if self.end is None else ((">=", self.start), ("<", self.end))
        if self.end is not None and operator in ("<=", ">"):  # beyond the day, not beyond its beginning
            return ((("<", self.end),)) if operator == "<=" else ((">=", self.end),)
        return ((operator, self.start),)


def moment(text: str, now: datetime) -> Moment | None:
    """What a text says, or None if it is no time. now: with a time zone."""
    words = " ".join(text.lower().split())
    try:
        return _named(words, now) or _ago(words, now) or _iso(words)
    except (ValueError, OverflowError):  # no such day, or one before the year 1
        return None


def _named(words: str, now: datetime) -> Moment | None:
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return {"now": Moment(stored(now)), "today": _day(today), "yesterday": _day(today - DAY)}.get(words)


def _ago(words: str, now: datetime) -> Moment | None:
    match = re.fullmatch(r"(\d{1,9}) ?([a-z]+) ago", words)
    unit = match and (_UNITS.get(match[2]) or _UNITS.get(match[2].removesuffix("s")))
    return Moment(stored(now - timedelta(**{unit: int(match[1])}))) if match and unit else None


def _iso(words: str) -> Moment | None:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", words):
        return _day(datetime.combine(date.fromisoformat(words), datetime.min.time(), UTC))
    if not re.match(r"\d{4}-\d{2}-\d{2}[ t]", words):
        return None
    found = datetime.fromisoformat(words.upper())
    return Moment(stored(found if found.tzinfo else found.replace(tzinfo=UTC)))


def stored(time: datetime) -> str:
    """As the store writes times, so that the order of texts is that of times."""
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _day(start: datetime) -> Moment:
    return Moment(stored(start), stored(start + DAY))
