"""What every table of the store and its columns mean, a sentence each; words only, their types are in `schema.py`."""

from __future__ import annotations

_RUN_ID = "run_id the run that the row belongs to"
_CELL = "cell the cell of the run, its position"

# table -> (what a row is, "column meaning" by line)
TABLES = {
    "runs": (
        "A run, or a pretraining, which is one too.",
        """
        id 16 hexadecimal characters
        kind run or pretraining
        status running, finished, failed or interrupted; a run that was killed still says running
        fingerprint sha256 of everything that decides the numbers
        seed the seed that everything random follows from
        created when it started, UTC, ISO 8601
        finished when it ended; NULL while it runs
        host the machine of the process that owns or owned it last
        pid the number of that process
        dataset_digest sha256 of the prepared data
        plan the resolved plan
        parameters the parameter counts: frozen, replaced, trained
        seconds how long it took, by stage: total, pretrain, features, heads
        error what stopped it, empty if nothing did
        owner number of the process that owns it, or owned it last; above 1: it was resumed
        classes names of the dataset's classes by label, as a JSON list
        image_shape channels, height and width of the images, as a JSON list; NULL: unknown
        made_for the run that needs this pretraining; NULL: none does
        """,
    ),
    "owners": (
        "A process that owned a run; only the newest one may write.",
        f"""
        {_RUN_ID}
        number 1 for the process that started it, one more for each that took it up again
        since when it became the owner, UTC, ISO 8601
        host its machine
        pid its number there
        drift what had changed when it took the run up and was allowed to, as before and after by name
        """,
    ),
    "components": (
        "A component of a run.",
        f"""
        {_RUN_ID}
        role dataset, backbone, head or evaluator
        name what was asked for, as the preset dressed5x3
        component what that stands for, as dressed
        provider the distribution that offers it
        version the version of that
        digest sha256 of the code that it uses
        options all its options, resolved
        """,
    ),
    "cells": (
        "A training: a fold and seed of a head or of one of its controls; in a pretraining, an initialisation.",
        f"""
        {_RUN_ID}
        position its number within the run, from 0
        fold the fold, from 0
        seed the seed of this repetition
        n_train number of training samples
        n_test number of test samples
        train_hash sha256 over the sorted ids of the training samples
        test_hash sha256 over the sorted ids of the test samples
        status running, finished, failed or interrupted
        seconds spent on it
        variant head, or the control that it belongs to
        leakage share of its test samples that its backbone was trained on, 0 to 1
        group_leakage share of them whose source image is in a training set, of the head or the backbone
        selection_leakage share of them whose accuracy chose the backbone's best epoch
        pretraining the run that its backbone comes from
        """,
    ),
    "epochs": (
        "An epoch of a cell; NULL: not measured.",
        f"""
        {_RUN_ID}
        {_CELL}
        epoch its number
        seconds spent on it
        train_loss mean cross-entropy on the training samples
        train_accuracy share of the training samples that were right
        test_loss mean cross-entropy on the test samples
        test_accuracy share of the test samples that were right
        further any other value by name, as validation_loss
        """,
    ),
    "metrics": (
        "A final metric of a finished cell.",
        f"""
        {_RUN_ID}
        {_CELL}
        name f1, accuracy, precision, recall, loss, or one of the evaluator's own
        value its value
        """,
    ),
    "predictions": (
        "A prediction for one test sample.",
        f"""
        {_RUN_ID}
        {_CELL}
        sample_id the sample
        source the image that the sample comes from
        label its class, as a number from 0
        predicted the class that was predicted
        probabilities of every class, by label
        """,
    ),
    "artifacts": (
        "A file that belongs to a run.",
        f"""
        {_RUN_ID}
        path where it lies below the store's directory of files
        kind weights, features, ...
        sha256 of its content
        bytes its size
        cell the cell that it belongs to; NULL: the whole run
        meta facts about it
        """,
    ),
    "environment": (
        "Something that surrounded a run.",
        f"""
        {_RUN_ID}
        name python, torch, host, threads, ...
        value what it was, as text
        """,
    ),
    "lineage": (
        "That a run builds on another one, or repeats it.",
        f"""
        {_RUN_ID}
        role pretraining: gives its backbone; replay: is repeated; replay of heads: is repeated from its backbones
        parent_id the run that is built upon
        """,
    ),
    "reproductions": (
        "The verdicts on a publication's claims, once for each different outcome.",
        """
        id 16 hexadecimal characters that follow from the content
        recipe the recipe of the publication
        provider the distribution that offers it
        version the version of that
        digest sha256 of the code that it uses
        budget how much of it was carried out
        dataset_digest sha256 of the prepared data
        cuts omitted parts of the publication, by name
            created when it was stored, or last reproduced, UTC, ISO 8601
        """,
    ),
    "claims": (
        "A claim of a publication, compared with runs.",
        """
        reproduction_id the outcome that it is part of
        position its number there, from 0
        name what it is called
        kind arithmetic, metric or comparison
        quantity what is claimed, as f1
        model the model that it is about
        place where it is printed
        printed the printed value
        unit of all its numbers
        tolerance how far ours may be from the printed value
        ours what was measured; NULL: nothing was
        low lower end of its interval; NULL: there is none
        high upper end of its interval
        verdict confirmed, contradicted, inconclusive, misprint or not run
        note why, in words
        runs ids of the runs that it rests on
        """,
    ),
    "tags": (
        "A tag of a run.",
        f"""
        {_RUN_ID}
        tag the tag
        since when it was given, UTC, ISO 8601
        """,
    ),
    "notes": (
        "The note on a run; each has one note at most.",
        f"""
        {_RUN_ID}
        text the note
        since when it was written, UTC, ISO 8601
        """,
    ),
    "trash": (
        "That a run lies in the trash: it is not listed, and in no view, until it is taken out again.",
        f"""
        {_RUN_ID}
        since when it was put there, UTC, ISO 8601
        """,
    ),
    "digests": (
        "What tells that the rows of a run, or of a reproduction, are still those that were stored.",
        """
        record the id of the run or reproduction
        part the name of a table
        sha256 of the record's rows in it
        """,
    ),
}
