"""Pages, messages, help texts and docstrings use the terms of `docs/contributing/terms.md`."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TERMS = ROOT / "docs" / "contributing" / "terms.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
MODULES = [*(ROOT / "qtlplat").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]


def refused() -> re.Pattern[str]:
    """The phrases in the left column of the page's last table, as whole words."""
    rows = TERMS.read_text(encoding="utf-8").partition("| not | but |\n| --- | --- |\n")[2].splitlines()
    phrases = [phrase.strip() for row in rows for phrase in row.split("|")[1].split(",")]
    assert len(phrases) > 20
    return re.compile(rf"(?<![\w@-])({'|'.join(map(re.escape, phrases))})(?![\w-])", re.IGNORECASE)


def test_pages_use_the_terms() -> None:
    old = refused()
    found = [
        f"{page.relative_to(ROOT)}:{number}: {match[1]}"
        for page in PAGES
        if page != TERMS
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
        for match in old.finditer(line)
    ]
    assert found == []


def test_texts_in_the_code_use_the_terms() -> None:
    old = refused()
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {match[1]}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for match in old.finditer(node.value)
    ]
    assert found == []
