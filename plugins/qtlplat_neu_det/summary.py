"""Many files or problems in few words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from qtlplat import Problem, shown

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
    places = ", ".join(shown(folder) for folder in folders if folder != ".")
    return f"{text}{f' in {places}' if places else ''} ({_suffixes(names)})"


def _suffixes(names: Sequence[str]) -> str:
    counts = Counter(PurePosixPath(name).suffix.lower() or "no extension" for name in names)
    return ", ".join(f"{shown(suffix)[1:-1]} {count}" for suffix, count in counts.most_common(FOLDERS))


def _common(paths: Sequence[Sequence[str]]) -> str:
    common: list[str] = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        common.append(parts[0])
    return shown("/".join(common)) if common else ""


def nested_archives(names: Sequence[str]) -> str:
    """What to do where the data lies in an archive inside, '' where none does."""
    archives = [name for name in names if PurePosixPath(name).suffix.lower() in (".zip", ".rar", ".7z", ".gz", ".tar")]
    return f"; {shown(archives[0])} is an archive: unpack it, or name it as the root if it is a zip" if archives else ""


def gathered(problems: Sequence[Problem]) -> list[Problem]:
    """The problems, those with one line for all where a folder has more than `MANY` of a kind."""
    kinds: dict[tuple[str, str, str, bool], list[Problem]] = defaultdict(list)
    for problem in problems:
        folder = str(PurePosixPath(problem.where).parent)
        words = problem.what.split(":")[0].split(", also as")[0]
        kinds[folder, problem.field, words, problem.hostile].append(problem)
    result = []
    for (folder, field, _, hostile), same in kinds.items():
        if len(same) <= MANY or folder == ".":
            result += same
            continue
        example = PurePosixPath(same[0].where).name
        result.append(Problem(folder, field, f"{len(same)} files, as {shown(example)}: {same[0].what}", hostile))
    return result
