"""Calling into a plugin: what it raises becomes an error that names it, and what it returns is checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from qtlplat.catalog import returned
from qtlplat.catalog.contained import contained
from qtlplat.contracts import Cell, Circuit, ImageSet, Samples, check_cells, check_circuit
from qtlplat.errors import DataError, PluginError, Problem, QtlplatError, UntrustedError, describe_exception
from qtlplat.specs import AnyHeadSpec, DatasetSpec, EvaluatorSpec, HeadSpec

T = TypeVar("T")
PUBLISHED = range(2, 9)  # exit codes that an error of ours may have; a plugin's own subclass may say anything
FIX = "run again with --debug to see where, and tell its author"


def guarded(work: Callable[[], T], provider: str, doing: str, *, random: bool = True) -> T:
    """Run a plugin's code; all its exceptions, including KeyboardInterrupt, become errors that name `provider`.

    Args:
        work: calls the plugin. It must exhaust lazy results.
        provider: the plugin to name in errors.
        doing: for the message, as "loading dataset x".
        random: whether to restore random generators afterwards; False for code that builds or runs a model, which must
            not fork the process either.

    Raises:
        QtlplatError: raised by the plugin on purpose; PluginError for all other exceptions.
        KeyboardInterrupt, Terminated: a signal stopped the command.
    """
    try:
        with contained(random=random, forks=random):
            try:
                return work()
            except BaseException as error:
                raise _published(error) or PluginError(
                    f"{doing} failed: {describe_exception(error)}", fix=FIX
                ) from error
    except QtlplatError as error:
        error.where = error.where or provider
        raise
    except Exception as error:  # even handling its errors failed, as with builtins that it replaced
        raise PluginError(f"{doing} failed: {describe_exception(error)}", where=provider, fix=FIX) from error


def _published(error: BaseException) -> QtlplatError | None:
    """The QtlplatError that a plugin raised on purpose; if it is of a subclass, the subclass's code is not used."""
    if not isinstance(error, QtlplatError):
        return None
    bases = (base for base in type(error).__mro__ if issubclass(base, QtlplatError))
    kind = next(base for base in bases if base.__module__ == QtlplatError.__module__)
    texts = [error.what, error.where, error.fix]
    if error.exit_code not in PUBLISHED or kind.exit_code not in PUBLISHED or any(type(t) is not str for t in texts):
        return None
    if kind is type(error):
        return error
    made = kind(texts[0], where=texts[1], fix=texts[2])
    made.problems = error.problems
    return made


def blame(error: BaseException) -> PluginError | None:
    """The error for an exception raised in an installed plugin's code, None for other exceptions.

    For calls that are too frequent or too indirect to be guarded: the traceback names the plugin.
    """
    from qtlplat.catalog.host import found_plugins

    packages = {provider.module.partition(".")[0]: provider for _, provider in found_plugins()}
    culprit, trace = None, error.__traceback__
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        culprit = packages.get(name.partition(".")[0], culprit)
        trace = trace.tb_next
    if culprit is None:
        return None
    return PluginError(f"the plugin's code failed: {describe_exception(error)}", where=culprit.distribution, fix=FIX)


def declared_circuit(spec: AnyHeadSpec, options: Any, provider: str) -> Circuit | None:
    """The circuit of a head, None for a classical one; raises PluginError where what is declared is no circuit."""
    if isinstance(spec, HeadSpec):
        return None
    declare = spec.circuit

    def declared() -> Circuit:
        circuit = returned.circuit(declare(options))
        check_circuit(circuit, provider)
        return circuit

    return guarded(declared, provider, "declaring the circuit")


def load_images(spec: DatasetSpec, options: Any, provider: str) -> ImageSet:
    """Load a dataset through its plugin; raises PluginError where what comes back is not an ImageSet."""
    return guarded(
        lambda: returned.plain(spec.load(options), ImageSet, "the dataset's load"),
        provider,
        f"loading dataset {spec.name}",
    )


def checked_dataset(spec: DatasetSpec, options: Any, provider: str) -> tuple[Sequence[Problem], ImageSet | None]:
    """All that is wrong with a dataset, and its images if nothing is: by its own check, if it has one, and by loading.

    Raises as `load_images`, and PluginError if its check returns anything but problems.
    """
    check = spec.check
    if check is not None:
        found = guarded(
            lambda: [returned.problem(one) for one in returned.series(check(options), "problems")],
            provider,
            f"checking dataset {spec.name}",
        )
        if found:
            return found, None
    try:
        return (), load_images(spec, options, provider)
    except (DataError, UntrustedError) as error:
        hostile = isinstance(error, UntrustedError)
        given: Sequence[Any] = error.problems
        problems = guarded(lambda: list(map(returned.problem, given)), provider, "reading the problems")
        return problems or (Problem(error.where or spec.name, "", error.what, hostile),), None


def source_files(spec: DatasetSpec, options: Any, provider: str, sources: Sequence[str]) -> Mapping[str, str]:
    """Where the files of sources lie, by source, as far as the dataset knows; raises PluginError for anything else."""
    find = spec.locate_files
    if find is None:
        return {}
    return guarded(
        lambda: returned.texts(find(options, sources), "the dataset's locate_files must return text by source"),
        provider,
        f"finding files of dataset {spec.name}",
    )


def evaluator_cells(spec: EvaluatorSpec, options: Any, samples: Samples, provider: str) -> tuple[Cell, ...]:
    """An evaluator's cells; raises PluginError for cells that no honest training can use."""

    def made() -> tuple[Cell, ...]:
        found = returned.series(spec.cells(options, samples), "cells")
        return tuple(returned.plain(one, Cell, "cells") for one in found)

    cells = guarded(made, provider, "making the cells")
    check_cells(cells, len(samples), provider)
    return cells


def written_options(options: Any, provider: str) -> dict[str, Any]:
    """A component's options as a plan keeps them; raises PluginError if they cannot be written down."""
    return guarded(lambda: returned.options(options), provider, "writing down the options")
