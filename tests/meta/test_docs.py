"""The documentation is true: generated pages are up to date, links resolve, commands and TOML blocks are valid."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from types import ModuleType

import click
import pytest

from qtlplat import errors
from qtlplat.catalog.registry import load_registry
from qtlplat.cli.app import _run, cli
from qtlplat.cli.render.show_tables import CURVES
from qtlplat.metrics import SHIPPED
from qtlplat.store.core.records import RunRecord
from qtlplat.store.read.serialize import full_form

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIRST_RUN = ("README.md", "docs/tutorial/first-run.md")
REGISTRY_TABLES = {"defaults", "plugins", "datasets", "backbones", "heads", "evaluators", "protocols"}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [body for language, body in found if language in languages]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


# --- generated pages


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_reference_is_up_to_date(generator: ModuleType) -> None:
    assert generator.differing() == [], "run: python docs/generate.py"


def test_the_generated_reference_names_no_place_on_this_machine(
    generator: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTLPLAT_NEU_DET", "/some/where/NEU-DET.zip")
    monkeypatch.setenv("COLUMNS", "50")
    assert generator.differing() == []
    for text in generator.pages().values():
        assert str(ROOT) not in text
        assert str(Path.home()) not in text


def test_check_names_the_pages_that_differ(
    generator: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    generator.write(tmp_path)
    assert generator.differing(tmp_path) == []
    (tmp_path / "hooks.md").write_text("something else", encoding="utf-8")
    (tmp_path / "cli.md").unlink()
    assert generator.differing(tmp_path) == ["cli.md", "hooks.md"]
    monkeypatch.setattr(generator, "differing", lambda: ["cli.md"])
    assert generator.main(["--check"]) == 1
    assert "cli.md" in capsys.readouterr().err


# --- links


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles)
    return set(plain)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_resolve(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        if not other.exists() or (anchor and anchor not in anchors(other)):
            broken.append(target)
    assert broken == []


def test_the_index_links_every_page() -> None:
    index = DOCS / "README.md"
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in re.findall(r"\]\(([^)\s]+)\)", prose(index))}
    assert {page for page in DOCS.rglob("*.md") if page != index} - linked == set()


def test_the_first_command_prints_one_text() -> None:
    shown = {page: [b for b in blocks(ROOT / page, "text") if b.startswith("cells\n")] for page in FIRST_RUN}
    assert [len(texts) for texts in shown.values()] == [1, 1]
    assert shown["README.md"] == shown["docs/tutorial/first-run.md"]


# --- command lines


def command_lines(page: Path) -> Iterator[str]:
    """Every command of qtlplat that a page shows: in shell blocks, after prompts of consoles, in code spans."""
    for block in blocks(page, "sh", "bash", "console"):
        text = block.replace("\\\n", " ")
        prompted = bool(re.search(r"^\$ ", text, re.MULTILINE))
        for line in text.splitlines():
            if not prompted or line.startswith("$ "):
                yield from re.findall(
                    r"(?:^|[;&|]\s*|\s)(qtlplat (?:'[^']*'|\"[^\"]*\"|[^;&|>#'\"])*)", line.removeprefix("$ ")
                )
    yield from re.findall(r"`(qtlplat [^`]+)`", prose(page))


def parse(line: str) -> None:
    """Let click take a command line apart, as it would before running it. Raises ClickException where it cannot."""
    words = [word for word in shlex.split(line)[1:] if word not in ("...", "…")]
    command: click.Command = cli
    name, parent = "qtlplat", None
    while True:
        try:
            ctx = command.make_context(name, words, parent=parent)
        except click.exceptions.Exit:  # --help and --version leave at once
            return
        if not isinstance(command, click.Group):
            return
        rest = [*ctx._protected_args, *ctx.args]
        if not rest:
            return
        found, member, words = command.resolve_command(ctx, rest)
        assert member is not None
        command, name, parent = member, found or "", ctx


def in_placeholder_form(line: str) -> bool:
    """`qtlplat COMMAND --help` and the like speak of commands in general."""
    return line.split()[1].isupper()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_pages_exist(page: Path) -> None:
    wrong = {}
    for line in command_lines(page):
        if in_placeholder_form(line):
            continue
        try:
            parse(line)
        except (click.MissingParameter, click.exceptions.NoArgsIsHelpError):
            continue  # a page may name a command without the arguments that it needs
        except click.UsageError as error:
            wrong[line] = error.format_message()
    assert wrong == {}


@pytest.mark.parametrize(
    "line",
    [
        "qtlplat runns",
        "qtlplat run --hed dressed5x3",
        "qtlplat store where",
        "qtlplat ls quantum",
        "qtlplat show a b",
        "qtlplat run --epochs many",
    ],
)
def test_a_wrong_command_line_would_be_noticed(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line)


def test_command_lines_are_found_in_blocks_and_in_spans(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "Say `qtlplat ls heads`.\n\n```sh\npip install . && qtlplat run --head 'a[b=1,c=2]'  # x\n```\n\n"
        "```console\n$ qtlplat runs | head\nqtlplat is not typed here\n```\n",
        encoding="utf-8",
    )
    found = [line.strip() for line in command_lines(page)]
    assert found == ["qtlplat run --head 'a[b=1,c=2]'", "qtlplat runs", "qtlplat ls heads"]


# --- TOML and Python


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_toml_blocks_are_valid(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "toml"):
        content = tomllib.loads(block)
        if set(content) <= REGISTRY_TABLES:
            file = tmp_path / "registry.toml"
            file.write_text(block, encoding="utf-8")
            load_registry(str(file))


def test_the_pages_hold_registry_examples() -> None:
    examples = [b for page in PAGES for b in blocks(page, "toml") if set(tomllib.loads(b)) <= REGISTRY_TABLES]
    assert len(examples) >= 2


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_blocks_compile(page: Path) -> None:
    for block in blocks(page, "python"):
        if not block.startswith(("def ", "class ")) or name_of(page) != "docs/reference/hooks.md":
            compile(block, name_of(page), "exec")


# --- samples of what is printed


def test_tables_in_the_pages_have_columns_that_the_program_prints() -> None:
    modules = (path for folder in ("qtlplat", "plugins") for path in (ROOT / folder).rglob("*.py"))
    source = "".join(path.read_text(encoding="utf-8") for path in modules)
    known = {*re.findall(r'Column\(\s*"[^"]*", "([^"]*)"', source), *SHIPPED, *CURVES}
    tables = {
        (name_of(page), tuple(re.split(" {2,}", header.strip())))
        for page in PAGES
        for block in blocks(page, "text", "console")
        for header in re.findall(r"^(.+)\n ─+ *$", block, re.MULTILINE)
    }
    assert len(tables) >= 8
    unknown = {(page, title) for page, titles in tables for title in titles if title not in known}
    metric = "|".join(re.escape(one.title) for one in SHIPPED.values())
    of_metrics = re.compile(rf"(minus )?({metric}) (of|from [\d.]+ to [\d.]+)|\w+ \(picked\)")
    of_sweeps = re.compile(r"(head|backbone|dataset)\.[a-z_]+|[a-z_]+=\d+|finished|failed|missing")
    left = {(page, title) for page, title in unknown if not (of_metrics.fullmatch(title) or of_sweeps.fullmatch(title))}
    assert left == set()


# --- the hand-written reference


def test_every_error_stands_with_its_code_in_the_table_of_exit_codes() -> None:
    page = (DOCS / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `?(\w*)`? ?\|", page, re.MULTILINE)
    documented = {name: int(code) for code, name in rows if name}
    raised = {
        name: error.exit_code
        for name, error in vars(errors).items()
        if isinstance(error, type) and issubclass(error, errors.QtlplatError)
    }
    assert documented == raised
    assert {code for code, name in rows if not name} == {"0", "9", "130", "143"}
    assert f"at most {errors.MAX_LINES} lines" in page


def test_every_environment_variable_is_documented() -> None:
    page = (DOCS / "reference" / "environment-variables.md").read_text(encoding="utf-8")
    sources = [*(ROOT / "qtlplat").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    used = {name for path in sources for name in re.findall(r"\bQTLPLAT_[A-Z_]+\b", path.read_text(encoding="utf-8"))}
    assert used == set(re.findall(r"\bQTLPLAT_[A-Z_]+\b", page))


def part_of_json_page(title: str) -> str:
    page = (DOCS / "reference" / "json.md").read_text(encoding="utf-8")
    return page.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def missing_keys(value: object, text: str) -> set[str]:
    """The top-level keys of a JSON value that a text does not name."""
    first = value[0] if isinstance(value, list) else value
    assert isinstance(first, dict)
    return {key for key in first if f'"{key}"' not in text and f"`{key}`" not in text}


@pytest.mark.parametrize(
    ("title", "command"),
    [
        ("qtlplat ls", ["ls"]),
        ("qtlplat info", ["info", "linear"]),
        ("qtlplat plugins list", ["plugins", "list"]),
        ("qtlplat plugins doctor", ["plugins", "doctor"]),
        ("qtlplat store path", ["store", "path"]),
        pytest.param("qtlplat reproduce", ["reproduce", "bhowmik2024", "--dry-run"], marks=pytest.mark.slow),
        ("qtlplat data info", ["data", "info", "steel-synth[per_class=2,images_per_kind=2]"]),
        ("qtlplat data audit", ["data", "audit", "steel-synth[per_class=2,images_per_kind=2]"]),
    ],
)
def test_json_keys_are_documented(
    title: str,
    command: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("QTLPLAT_STORE", str(tmp_path / "store.db"))
    assert _run([*command, "--json"]) == 0
    assert missing_keys(json.loads(capsys.readouterr().out), part_of_json_page(title)) == set()


def test_json_keys_of_a_reproduction_are_documented() -> None:
    text = part_of_json_page("qtlplat reproduce")
    source = (ROOT / "plugins" / "qtlplat_reproduction" / "command.py").read_text(encoding="utf-8")
    keys = re.findall(r'"(\w+)":', source.split("def _json", 1)[1].split("\ndef ", 1)[0])
    assert len(keys) > 20
    assert [key for key in keys if f'"{key}"' not in text and f"`{key}`" not in text] == []


def test_json_keys_of_a_run_are_documented() -> None:
    record = RunRecord("0", "run", "finished", "", 0, "", None, {}, {}, "", {}, {}, {}, None, "")
    text = part_of_json_page("qtlplat run") + part_of_json_page("qtlplat show")
    assert missing_keys(full_form(record, [], [], {}, []), text) == set()


def test_json_keys_of_a_comparison_are_documented() -> None:
    from qtlplat.analysis.comparison import ComparisonRow
    from qtlplat.analysis.power import repetition
    from qtlplat.analysis.statistics import practical_equivalence

    text = part_of_json_page("qtlplat compare")
    assert missing_keys(ComparisonRow("r", "head", "x", None, None, 0, 0, None, None).form(), text) == set()
    assert missing_keys(vars(practical_equivalence([0.1, 0.2], 0.2)), text) == set()
    assert missing_keys(vars(repetition(0.1, 0.1, 0.2, folds=6)), text) == set()


def test_json_keys_of_a_dry_run_are_documented() -> None:
    text = part_of_json_page("qtlplat run --dry-run")
    source = (ROOT / "qtlplat" / "runs" / "prepare.py").read_text(encoding="utf-8")
    body = source.split("def dry_run", 1)[1].split("\ndef ", 1)[0]
    counts = (ROOT / "qtlplat" / "analysis" / "parameter_counts.py").read_text(encoding="utf-8").split("return {", 1)[1]
    keys = re.findall(r'"(\w+)":', body) + re.findall(r'"(\w+)":', counts)
    assert len(keys) > 20
    assert [key for key in keys if f'"{key}"' not in text] == []


def test_the_generator_runs_as_a_script() -> None:
    done = subprocess.run([sys.executable, DOCS / "generate.py", "--what"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--check" in done.stderr
