"""What heads get wrong, counted by the database, against pandas on the same rows."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from by_hand import named, sql
from sample_runs import component, new_run

from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import NewCell, PredictionRow
from qtlplat.store.read.misclassified import MOST_NAMED, mistakes
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

pytestmark = pytest.mark.every_store(slow=True)
CLASSES = ("empty", "crack", "hole")
HEADS = ("dressed", "linear", "mlp", "mlp", "dressed")


@pytest.fixture
def runs(location: StoreLocation) -> list[str]:
    """Five runs of three heads on two datasets: two folds, two seeds, a control; one cell has not finished."""
    random, ids = np.random.default_rng(5), []
    with Writer(location) as writer:
        for number, head in enumerate(HEADS):
            parts = [component("head", name=head), component("backbone")]
            digest = "b" * 64 if number == 4 else "a" * 64
            run = writer.start_run(new_run(components=parts, dataset_digest=digest, classes=CLASSES))
            ids.append(run)
            cells = [(fold, seed, "head") for seed in range(2) for fold in range(2)] + [(0, 0, "linear")]
            writer.add_cells(
                run,
                [
                    NewCell(i, f, s, 9, 9, "1" * 64, "2" * 64, variant=v, backbone_index=s)
                    for i, (f, s, v) in enumerate(cells)
                ],
            )
            for position, (fold, _, _) in enumerate(cells):
                rows = []
                for i in range(fold, 30, 2):
                    p = random.dirichlet((0.6, 0.6, 0.6))
                    given = int(p.argmax())
                    values = [float(v) for v in p]
                    if i == 7:
                        values[given] = math.nan  # as a head that has gone astray gives
                    rows.append(PredictionRow(position, f"s{i:02}", f"image {i // 3}", i % 3, given, values))
                writer.add_predictions(run, rows)
                if (number, position) != (2, 3):
                    writer.finish_cell(run, position, {"f1": 0.5}, 1.0)
            writer.finish_run(run, "interrupted" if number == 2 else "finished", {})
    return ids


def by_pandas(location: StoreLocation, ids: list[str]) -> pd.DataFrame:
    """The same counts, from the rows themselves."""
    found = named(
        location,
        "select p.*, r.dataset_digest digest, k.name head, c.backbone_index "
        "from predictions p join runs r on r.id = p.run_id "
        "join components k on k.run_id = r.id and k.role = 'head' "
        "join cells c on c.run_id = p.run_id and c.position = p.cell "
        "where c.variant = 'head' and c.status = 'finished'",
    )
    rows = pd.DataFrame(found)
    rows = rows[rows.run_id.isin(ids)].copy()
    rows["bad"] = rows.label != rows.predicted
    probabilities = rows.probabilities.map(lambda text: [float(v) for v in json.loads(text)])
    rows["p"] = [values[given] for values, given in zip(probabilities, rows.predicted, strict=True)]
    rows["p"] = rows.p.where(rows.bad)
    found = rows.groupby(["digest", "sample_id", "label"]).agg(
        wrong=("bad", "sum"),
        tested=("bad", "size"),
        runs=("run_id", "nunique"),
        heads=("head", "nunique"),
        p=("p", "mean"),
    )
    bad = rows[rows.bad].groupby(["digest", "sample_id", "label"])
    found["wrong_runs"], found["wrong_heads"] = bad.run_id.nunique(), bad["head"].nunique()
    found = found.reset_index()
    on = ["digest", "sample_id", "label", "run_id", "backbone_index"]  # these runs share no backbone
    backbones = rows.groupby(on).bad.mean().reset_index().groupby(on[:3]).bad
    found["backbones"], found["wrong_backbones"] = (
        backbones.size().values,
        backbones.agg(lambda b: (b > 0.5).sum()).values,
    )
    found["share"] = found.wrong / found.tested
    return found.sort_values(
        ["share", "wrong", "p", "sample_id", "digest"], ascending=[False, False, False, True, True], na_position="last"
    )


@pytest.mark.parametrize("chosen", [slice(0, 1), slice(0, 4), slice(0, 5)])
def test_the_counts_are_those_that_pandas_makes(location: StoreLocation, runs: list[str], chosen: slice) -> None:
    found, expected = mistakes(Reader(location), runs[chosen]), by_pandas(location, runs[chosen])
    assert (found.samples, found.predictions) == (len(expected), expected.tested.sum())
    wrong = expected[expected.wrong > 0]
    assert (found.wrong_samples, found.wrong_predictions) == (len(wrong), wrong.wrong.sum())
    votes = np.sign(wrong.wrong - wrong.tested / 2)
    assert (found.wrong_votes, found.tied_votes) == ((votes > 0).sum(), (votes == 0).sum())
    assert found.mean_wrong == pytest.approx(expected.share.sum())
    names = ["wrong", "tested", "wrong_runs", "runs", "wrong_heads", "heads", "wrong_backbones", "backbones"]
    assert found.backbones == 2 * len(runs[chosen])
    ours = [[one.dataset_digest, one.sample_id, one.label, *(getattr(one, n) for n in names)] for one in found.worst]
    assert ours == wrong[["digest", "sample_id", "label", *names]].to_numpy().tolist()
    certainty = [np.nan if one.certainty is None else one.certainty for one in found.worst]
    np.testing.assert_allclose(certainty, wrong.p, rtol=1e-12)


def test_what_is_told_of_a_sample_adds_up(location: StoreLocation, runs: list[str]) -> None:
    for one in mistakes(Reader(location), runs[:4]).worst:
        assert sum(part.n for part in one.taken_for) == sum(part.wrong for part in one.by) == one.wrong
        assert sum(part.tested for part in one.by) == one.tested
        assert {part.head for part in one.by} == {"dressed", "linear", "mlp"}
        assert sum(part.wrong > 0 for part in one.by) == one.wrong_heads
        assert one.name == CLASSES[one.label]
        assert {part.name for part in one.taken_for} <= set(CLASSES) - {one.name}
        known = [part for part in one.taken_for if part.certainty is not None]
        if known and len(known) == len(one.taken_for) and one.sample_id != "s07":
            mean = sum(part.n * part.certainty for part in known) / one.wrong
            assert one.certainty == pytest.approx(mean)
        shares = [part.wrong / part.tested for part in one.by]
        assert shares == sorted(shares, reverse=True)


def test_on_each_backbone_a_sample_counts_once_whichever_runs_start_from_it(location: StoreLocation) -> None:
    """Two runs of two seeds start from the same two pretrainings."""
    wrong = {"first": (True, True, False, True), "second": (True, False, False, True)}  # by backbone, then seed
    with Writer(location) as writer:
        backbones = [writer.start_run(new_run("pretraining")) for _ in range(2)]
        ids = []
        for head, answers in wrong.items():
            ids.append(writer.start_run(new_run(components=[component("head", name=head), component("backbone")])))
            cells = [
                NewCell(i, 0, i % 2, 9, 1, "1" * 64, "2" * 64, backbone_index=i // 2, pretraining=backbones[i // 2])
                for i in range(4)
            ]
            writer.add_cells(ids[-1], cells)
            for i, bad in enumerate(answers):
                writer.add_predictions(ids[-1], [PredictionRow(i, "s0", "i", 0, int(bad), (0.5, 0.5))])
                writer.finish_cell(ids[-1], i, {"f1": 0.5}, 1.0)
    for chosen, (on, of) in ((ids[:1], (1, 2)), (ids[1:], (0, 2)), (ids, (1, 2))):
        found = mistakes(Reader(location), chosen)
        (one,) = found.worst
        # of the first run: 2 of 2 and 1 of 2; of the second: 1 of 2 each; together 3 of 4 and 2 of 4
        assert (one.wrong_backbones, one.backbones, found.backbones) == (on, of, 2)


def test_a_limit_gives_the_worst_of_the_same_order(location: StoreLocation, runs: list[str]) -> None:
    every, few = (mistakes(Reader(location), runs, limit=limit) for limit in (None, 5))
    assert few.worst == every.worst[:5]
    assert (few.wrong_samples, few.samples) == (every.wrong_samples, every.samples)


def test_what_a_run_alone_gets_wrong(location: StoreLocation, runs: list[str]) -> None:
    mine, *others = runs[:3]
    found = mistakes(Reader(location), runs[:3], only_by=mine)
    alone = {one.sample_id for one in mistakes(Reader(location), [mine]).worst}
    theirs = {one.sample_id for one in mistakes(Reader(location), others).worst}
    assert {one.sample_id for one in found.worst} == alone - theirs
    assert found.wrong_samples == len(alone - theirs)


def test_names_of_classes_are_numbers_where_none_are_stored(location: StoreLocation, runs: list[str]) -> None:
    sql(location, "UPDATE runs SET classes = '[]'")
    assert {one.name for one in mistakes(Reader(location), runs).worst} == {"0", "1", "2"}


def test_a_store_that_does_not_exist_has_no_mistakes(location: StoreLocation) -> None:
    assert mistakes(Reader(location), ["0" * 16]).worst == ()


def test_more_samples_than_can_be_named_are_read_all_the_same(location: StoreLocation) -> None:
    n = MOST_NAMED + 5
    with Writer(location) as writer:
        run = writer.start_run(new_run())
        writer.add_cells(run, [NewCell(0, 0, 7, 10, n, "1" * 64, "2" * 64)])
        writer.add_predictions(run, [PredictionRow(0, f"s{i:04}", "i", 0, 1, (0.2, 0.8)) for i in range(n)])
        writer.finish_cell(run, 0, {"f1": 0.0}, 1.0)
    found = mistakes(Reader(location), [run])
    assert [one.sample_id for one in found.worst] == [f"s{i:04}" for i in range(n)]
    assert all(one.taken_for[0].n == 1 for one in found.worst)
