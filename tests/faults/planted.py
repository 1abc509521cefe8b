"""Bugs to plant into a copy of the package, each with the tests that have to fail of it.

A bug is a text that is replaced by another one; a text that is not there exactly once is an error, so that the
table keeps up with the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Bug:
    """kind: which of the five; file: below the package's root; caught_by: ids of tests that fail, and fail by this."""

    kind: str
    file: str
    sound: str
    planted: str
    caught_by: tuple[str, ...]

    def plant(self, root: Path) -> None:
        """Change the copy below `root`."""
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.sound) != 1:
            raise AssertionError(f"{self.file} has this text {text.count(self.sound)} times:\n{self.sound}")
        path.write_text(text.replace(self.sound, self.planted), encoding="utf-8")


FSYNC = "skip fsync"
IMMEDIATE = "skip BEGIN IMMEDIATE"
STATE = "drop state of the random numbers or of the optimizer"
EXCEPT = "catch-all except"
FIRST = "first-wins names"

ORDER = "tests/store/test_sync_order.py::test_a_file_is_synced_before_it_gets_its_name_and_the_directory_after"
STOPPED = "tests/resume/test_resume.py::test_a_run_stopped_at_any_step_ends_bitwise_equal"
REFUSED = "tests/faults/test_refused_rows.py::test_a_row_that_is_refused_stops_the_run"

BUGS = {
    "a file's content is not synced": Bug(
        FSYNC,
        "qtlplat/store/core/files.py",
        "                os.fsync(file.fileno())\n",
        "",
        (
            f"{ORDER}[written]",
            "tests/state/test_files.py::test_a_failed_write_leaves_the_old_file_and_nothing_else",
        ),
    ),
    "a file's name is not synced": Bug(
        FSYNC,
        "qtlplat/store/core/files.py",
        "        os.fsync(file)\n",
        "        pass\n",
        (f"{ORDER}[written]", f"{ORDER}[copied]", f"{ORDER}[backed_up]"),
    ),
    "a file that is taken over is not synced": Bug(
        FSYNC,
        "qtlplat/store/core/artifacts.py",
        "            os.fsync(written.fileno())\n",
        "",
        (f"{ORDER}[copied]",),
    ),
    "SQLite does not sync": Bug(
        FSYNC,
        "qtlplat/store/backends/sqlite.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
        (
            "tests/resume/test_power_cut.py::test_a_run_relies_on_nothing_that_a_power_cut_could_take_away",
            "tests/store/test_database.py::test_a_new_store_has_our_pragmas_and_our_mark",
        ),
    ),
    "writers begin as readers": Bug(
        IMMEDIATE,
        "qtlplat/store/backends/sqlite.py",
        '"BEGIN IMMEDIATE" if write else "BEGIN"',
        '"BEGIN"',
        ("tests/store/test_database.py::test_a_writer_holds_the_store_from_its_first_look_on",),
    ),
    "dropout goes on from wherever the generator is": Bug(
        STATE,
        "qtlplat/backbones/trainer.py",
        '        seed_torch(derive_seed("dropout", self.seed, epoch))\n',
        "",
        (f"{STOPPED}[40]",),
    ),
    "batches follow from history": Bug(
        STATE,
        "qtlplat/backbones/trainer.py",
        '        seed_torch(derive_seed("dropout", self.seed, epoch))\n'
        '        shuffled = torch.randperm(len(self.split.train), generator=generator("order", self.seed, epoch))\n',
        "        shuffled = torch.randperm(len(self.split.train))\n"
        '        seed_torch(derive_seed("dropout", self.seed, epoch))\n',
        (f"{STOPPED}[40]",),
    ),
    "shots go on from wherever the generator is": Bug(
        STATE,
        "qtlplat/heads/lockstep.py",
        "            variant.trainee.reseed()\n",
        "",
        ("tests/resume/test_resume.py::test_a_head_that_trains_cell_by_cell_is_resumed_within_its_cells",),
    ),
    "a backbone's optimizer begins anew": Bug(
        STATE,
        "qtlplat/backbones/trainer.py",
        '        self.optimizer.load(saved.part("adam"))\n',
        "",
        (f"{STOPPED}[40]",),
    ),
    "the average of weights begins anew": Bug(
        STATE,
        "qtlplat/backbones/trainer.py",
        '            self.average.load_state_dict(saved.part("average"))\n',
        "            pass\n",
        (f"{STOPPED}[40]",),
    ),
    "heads begin anew": Bug(
        STATE,
        "qtlplat/heads/lockstep.py",
        "            variant.trainee.load(saved.part(str(number)))\n",
        "",
        (f"{STOPPED}[75]",),
    ),
    "the best score so far is forgotten": Bug(
        STATE,
        "qtlplat/backbones/pretrain.py",
        '_SCORES = ("best_score", "clear_score")',
        '_SCORES = ("clear_score",)',
        (
            "tests/backbones/test_pretrain.py::test_a_search_that_goes_on_after_any_epoch_ends_the_same[0.0-constant-single]",
        ),
    ),
    "an epoch that cannot be stored is passed over": Bug(
        EXCEPT,
        "qtlplat/runs/execute.py",
        "            job.keep_epoch(run, epoch, cells, checkpoints, clock)\n",
        "            try:\n                job.keep_epoch(run, epoch, cells, checkpoints, clock)\n"
        "            except Exception:\n                pass\n",
        (f"{REFUSED}[epochs-run-INSERT ON epochs]",),
    ),
    "an end that cannot be stored is passed over": Bug(
        EXCEPT,
        "qtlplat/runs/context.py",
        '    job.writer.finish_run(run, "finished", clock.seconds())\n',
        '    try:\n        job.writer.finish_run(run, "finished", clock.seconds())\n'
        "    except Exception:\n        pass\n",
        (f"{REFUSED}[digests-run-INSERT ON digests]", f"{REFUSED}[its end-run-UPDATE OF status ON runs]"),
    ),
    "a checkpoint that cannot be written is passed over": Bug(
        EXCEPT,
        "qtlplat/state/checkpoints.py",
        "            pending.result()\n",
        "            try:\n                pending.result()\n            except Exception:\n                pass\n",
        ("tests/state/test_checkpoints.py::test_a_disk_that_is_full_is_an_error_of_the_next_save",),
    ),
    "a file that cannot be written is passed over": Bug(
        EXCEPT,
        "qtlplat/store/core/files.py",
        '        raise in_the_way("cannot write", path, error) from error\n',
        "        return\n",
        ("tests/state/test_files.py::test_a_failed_write_leaves_the_old_file_and_nothing_else",),
    ),
    "what a plugin raises becomes nothing": Bug(
        EXCEPT,
        "qtlplat/catalog/plugin_calls.py",
        "                raise _published(error) or PluginError(\n"
        '                    f"{doing} failed: {describe_exception(error)}", fix=FIX\n'
        "                ) from error",
        "                return None",
        ("tests/faults/test_plugin_training.py::test_metrics_that_raise_after_training[a ValueError]",),
    ),
    "of two components the first is taken": Bug(
        FIRST,
        "qtlplat/catalog/catalog.py",
        "        if len(found) == 1:\n",
        "        if found:\n",
        ("tests/catalog/test_catalog.py::test_duplicate_head_names_name_both_distributions_and_the_way_out",),
    ),
    "of two kinds the first is taken": Bug(
        FIRST,
        "qtlplat/cli/commands/components.py",
        "    if len(kinds) == 1:\n",
        "    if kinds:\n",
        ("tests/cli/test_components.py::test_a_name_of_two_kinds_asks_which",),
    ),
    "of two names in one distribution the first is taken": Bug(
        FIRST,
        "qtlplat/catalog/host.py",
        "        if (spec.kind, spec.name) in taken:\n",
        "        if False:\n",
        ("tests/catalog/test_host.py::test_a_distribution_offering_a_name_twice_is_refused",),
    ),
}
