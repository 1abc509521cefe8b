"""The benchmark of a backbone: what a row says, and that both engines compute the same."""

import pytest
import torch
from torch import nn

from qtlplat.backbones.model import WholeBackbone
from qtlplat.contracts import Backbone
from qtlplat_bench.backbone import PlainBackbone, bench_backbone

KEYS = ["engine", "qubits", "layers", "batch", "cells", "threads", "ms_per_step", "ms_per_cell_step", "spread"]
KEYS += ["max_value_error", "max_gradient_error"]


def small():
    features = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten()
    )
    dense = (nn.Sequential(nn.Linear(100, 8), nn.ReLU(), nn.Dropout(0.5)), nn.Linear(8, 3))
    return Backbone(features, dense)


@pytest.fixture(scope="module")
def rows():
    return bench_backbone(small, (1, 16, 16), 3, batch=8, threads=1, repeats=3)


def test_rows_name_engine_and_setting(rows):
    assert [r["engine"] for r in rows] == ["plain", "qtlplat"]
    for row in rows:
        assert list(row) == KEYS
        assert (row["qubits"], row["layers"], row["batch"], row["cells"], row["threads"]) == (None, None, 8, 1, 1)
        assert row["ms_per_cell_step"] == row["ms_per_step"] > 0
        assert row["spread"] >= 0


def test_losses_and_gradients_agree(rows):
    assert (rows[0]["max_value_error"], rows[0]["max_gradient_error"]) == (0, 0)
    assert rows[1]["max_value_error"] < 1e-4
    assert rows[1]["max_gradient_error"] < 1e-3


def test_the_plain_form_has_relu_before_pooling_and_the_same_function():
    torch.manual_seed(0)
    whole = WholeBackbone(small(), 1).eval()
    plain = PlainBackbone(whole).eval()
    assert [type(m) for m in plain.features][:3] == [nn.Conv2d, nn.ReLU, nn.MaxPool2d]
    images = torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8)
    torch.testing.assert_close(plain(images), whole(images), atol=1e-4, rtol=1e-4)


def test_threads_and_random_numbers_are_left_as_they_were():
    before = torch.get_num_threads()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    bench_backbone(small, (1, 16, 16), 3, batch=2, threads=before + 1, repeats=1)
    assert torch.get_num_threads() == before
    assert torch.equal(torch.rand(3), expected)
