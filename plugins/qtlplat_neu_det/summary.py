"""Many files or problems in few words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from qtlplat import Problem, safe_repr

MANY = 5  # problems of one kind in one folder, from which they become one line
FOLDERS = 3  # that are named
EXPECTED = (
    "expected images and, for each, a Pascal VOC annotation of the same name: "
    "IMAGES/ and ANNOTATIONS/, {train,validation}/{images,annotations}/, or any folders"
)


def counted_files(kind: str, names: Sequence[str]) -> str:
    """A number of files with the folders that they lie in, as ``18 images in train/images``."""
    text = f"{len(names) or 'no'} {kind}{'' if len(names) == 1 else 's'}"
    if not names:
        return text
    folders = Counter(str(PurePosixPath(name).parent) for name in names)
    if len(folders) > FOLDERS:
        common = _common([PurePosixPath(folder).parts for folder in folders])
        return f"{text} in {len(folders)} folders{f' below {common}' if common else ''} ({_suffixes(names)})"
    places = ", ".join(safe_repr(folder) for folder in folders if folder != ".")
    return f"{text}{f' in {places}' if places else ''} ({_suffixes(names)})"


def _suffixes(names: Sequence[str]) -> str:
    counts = Counter(PurePosixPath(name).suffix.lower() or "no extension" for name in names)
    return ", ".join(f"{safe_repr(suffix)[1:-1]} {count}" for suffix, count in counts.most_common(FOLDERS))


def _common(paths: Sequence[Sequence[str]]) -> str:
    common: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return safe_repr("/".join(common)) if common else ""


def nested_archives(names: Sequence[str]) -> str:
    """What to do where the data lies in an archive inside, '' where none does."""
    archives = [name for name in names if PurePosixPath(name).suffix.lower() in (".zip", ".rar", ".7z", ".gz", ".tar")]
    if len(archives) > 1:
        return f"; {safe_repr(archives[0])} and {len(archives) - 1} more are archives: unpack them"
    return (
        f"; {safe_repr(archives[0])} is an archive: unpack it, or name it as the root if it is a zip"
        if archives
        else ""
    )


def gathered(problems: Sequence[Problem]) -> list[Problem]:
    """The problems, those with one line for all where a folder has more than `MANY` of a kind."""
    kinds: dict[tuple[str, str, str, bool], list[Problem]] = defaultdict(list)
    for problem in problems:
        folder = str(PurePosixPath(problem.where).parent)
        kinds[folder, _without_number(problem.field), _kind(problem.what), problem.hostile].append(problem)
    result = []
    for (folder, field, _, hostile), same in kinds.items():
        if len(same) <= MANY:
            result += same
            continue
        files = len({problem.where for problem in same})
        what = f"{files} files, as {safe_repr(PurePosixPath(same[0].where).name)}: {same[0].what}"
        where = "the root folder" if folder == "." else folder
        result.append(Problem(where, field if len({p.field for p in same}) > 1 else same[0].field, what, hostile))
    return result


def _without_number(field: str) -> str:
    return re.sub(r"\[[0-9]+\]", "", field)


def _kind(what: str) -> str:
    """The words that problems of one kind share: without the value that was found, and without names that differ."""
    return re.sub(r"^must be '.*|(:|, also as|, is) .*", lambda m: "must be" if m[0][0] == "m" else "", what)
