"""Stores to make reports of, and what a browser would make of a page."""

import re
from html.parser import HTMLParser
from pathlib import Path

from compared_runs import cell, store_controls, store_run
from stored_runs import HOSTILE, qtlplat

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import ArtifactRow, ComponentRow, EpochRow, NewCell, NewRun
from qtlplat.store.write.writer import Writer

TEX = r"\input{/etc/passwd}%\end{table}$x^2_3&#~"
NASTY = f"{HOSTILE}{TEX}</title></script><img src=http://x onerror=alert(1)>\"'"
PARAMETERS = {
    "backbone_total": 534482, "kept": 262880, "replaced": 271602, "replaced_layers": 4, "model_total": 271110,
    "head": {"pre_net": 8196, "vqc": 24, "post_net": 10, "total": 8230}, "controls": {"linear": 4098},
    "reduction_percent_model": 49.27612, "reduction_percent_replaced": 96.96983,
}  # fmt: skip
PARTS = {"component": "c", "provider": "dist", "options": {"size": 3}, "locations": []}
PLAN = {"seed": 0, **dict.fromkeys(("dataset", "backbone", "head", "evaluator"), PARTS)}


class Page(HTMLParser):
    """What a browser would make of a page: tags with attributes, tables by caption, all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "table":
            self._rows = []
        if tag == "caption":
            self._caption = ""
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data: str) -> None:
        self.text += data
        if "caption" in self._open:
            self._caption += data
        elif self._rows and {"td", "th"} & {*self._open}:
            self._rows[-1][-1] += data

    def table(self, caption: str) -> list[dict[str, str]]:
        head, *rows = self.tables[caption]
        return [dict(zip(head, map(str.strip, row), strict=True)) for row in rows]


def backbone(path: Path, f1: float = 0.9516, name: str = "lenet2", status: str = "finished") -> str:
    """A pretraining with two initialisations, the second one kept."""
    rows = [ComponentRow(role, name, "c", "dist", "0.1", "d" * 64, {}) for role in ("dataset", "backbone")]
    plan = {"dataset": PARTS, "backbone": PARTS, "seed": 0, "pretraining": {"monitor": "test", "epochs": 2}}
    with Writer(find_store(str(path))) as writer:
        run = writer.start_run(
            NewRun("pretraining", "p", 0, plan, rows, "a" * 64, {"python": "3.11", "accelerator": "cuda"})
        )
        writer.add_cells(run, [NewCell(i, 0, i, 100, 25, "1" * 64, "2" * 64) for i in range(2)])
        for i in range(2):
            writer.add_epochs(run, [EpochRow(i, e, 0.1, {"test_accuracy": 0.5 + i / 4 + e / 100}) for e in (1, 2)])
            writer.finish_cell(run, i, {"f1": f1 - (1 - i) / 10}, 1.0)
        writer.add_artifact(run, ArtifactRow("weights", "w", "c" * 64, 1, None, {"initialisation": 1}))
        writer.finish_run(run, status, {"total": 2.0})  # type: ignore[arg-type]
    return run


def page(store: Path, *arguments: str) -> Page:
    out = store.with_name("report.html")
    called = qtlplat(store, "report", *arguments, "-o", str(out), "--force")
    assert called.code == 0, called.err
    return Page(out.read_text(encoding="utf-8"))


def filled(path: Path) -> Path:
    """A store with a controlled run, and the same head under nested with its backbone."""
    store_controls(path, linear=(0.97, 0.98, 0.99, 0.96, 0.97, 0.98), shuffled=(0.5, 0.49, 0.52, 0.47, 0.5, 0.51))
    changes = {"leakage": 0.0, "group_leakage": 0.0, "pretraining": backbone(path)}
    cells = [cell(i, i, test_hash=f"other {i}", **changes) for i in range(3)]
    store_run(path, (0.9, 0.91, 0.89), cells=cells, evaluator="nested6", parameters=PARAMETERS, plan=PLAN)
    return path


def assert_self_contained(shown: Page) -> None:
    names = {name for name, _ in shown.tags}
    assert not names & {"script", "img", "iframe", "object", "embed", "link", "base", "form", "foreignobject", "image"}
    for tag, attributes in shown.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href", "action", "data", "style"):
                assert re.match(r"#|data:image/", value or ""), (tag, name, value)
            if name not in ("content", "aria-label"):
                assert not re.search(r"url\((?!#)", value or "")
    assert shown.tags[3][0] == "meta"
    policy = next(
        a["content"] for n, a in shown.tags if n == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "script" not in policy
