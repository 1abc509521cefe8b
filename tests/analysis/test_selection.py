"""What picking on the test part is worth."""

import pytest

from qtlplat.analysis.selection import selection, selection_line


def epoch(cell, number, test, validation=None):
    more = {} if validation is None else {"validation_loss": validation, "validation_accuracy": 1 - validation}
    return {"cell": cell, "epoch": number, "test_accuracy": test, **more}


def test_with_a_validation_part_its_choice_is_the_honest_one():
    facts = selection([epoch(0, 1, 0.90, 0.3), epoch(0, 2, 0.95, 0.2), epoch(0, 3, 0.97, 0.25)], "validation")
    assert facts["by_test"] == {
        "initialisation": 0, "epoch": 3, "test_accuracy": 0.97, "validation_loss": 0.25, "validation_accuracy": 0.75,
    }  # fmt: skip
    assert facts["by_validation"]["epoch"] == 2
    assert facts["optimism"] == pytest.approx(0.02)
    assert selection_line(facts) == (
        "test accuracy 0.9700 picked by itself (epoch 3 of initialisation 1), 0.9500 picked by validation (epoch 2); "
        "the latter was kept. Picking on the test part adds 2.0 points"
    )


def test_without_one_the_last_epochs_stand_for_no_choice():
    epochs = [epoch(0, 1, 0.98), epoch(0, 2, 0.90), epoch(1, 1, 0.80), epoch(1, 2, 0.94)]
    facts = selection(epochs, "test")
    assert facts["by_validation"] is None
    assert facts["last_epochs"] == pytest.approx(0.92)
    assert facts["optimism"] == pytest.approx(0.06)
    assert "0.9200 unpicked (the last epochs, n = 2); this was kept" in selection_line(facts)


def test_the_last_epoch_is_unpicked_although_there_is_a_validation_part():
    facts = selection([epoch(0, 1, 0.98, 0.1), epoch(0, 2, 0.90, 0.2)], "last")
    assert (facts["by_validation"], facts["last_epochs"]) == (None, 0.90)
    assert "0.9000 unpicked (the last epochs, n = 1); the latter was kept" in selection_line(facts)


def test_ties_go_to_the_earlier_one_as_in_training():
    facts = selection([epoch(1, 1, 0.9), epoch(0, 2, 0.9), epoch(0, 1, 0.9)], "test")
    assert (facts["by_test"]["initialisation"], facts["by_test"]["epoch"]) == (0, 1)


def test_without_test_accuracies_there_is_nothing_to_say():
    assert selection([{"cell": 0, "epoch": 1, "train_loss": 0.1}], "test") is None
