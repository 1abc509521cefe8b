"""The parameter counts of Bhowmik & Thapliyal's Table III, recomputed from the layer shapes."""

import pytest

from .conftest import SMALL

FEW = SMALL.replace("per_class=18,images_per_kind=8,size=96", "per_class=4,images_per_kind=2")  # none is trained on

# model: backbone's total, then by number of replaced dense layers the hybrid's total and its two reductions (%).
# Totals are the recomputed ones: Table III prints 671,764 for 671,774 and 525,824 for 525,854.
TABLE_III = {
    "lenet1": (1_076_338, {3: (1_074_078, 0.21, 85.54), 4: (1_066_142, 0.95, 93.56), 5: (671_774, 37.59, 96.18)}),
    "lenet2": (534_482, {2: (533_790, 0.13, 64.43), 3: (525_854, 1.61, 92.48), 4: (273_182, 48.89, 96.21)}),
    "lenet3": (1_125_842, {2: (1_125_150, 0.06, 64.43), 3: (1_117_214, 0.77, 92.48), 4: (108_830, 90.33, 96.12)}),
}


@pytest.mark.parametrize("backbone", TABLE_III)
def test_dry_run_counts_the_parameters_of_table_iii(json_of, backbone):
    total, rows = TABLE_III[backbone]
    for replaced, (model, of_model, of_replaced) in rows.items():
        line = f"run {FEW} --backbone {backbone} --head dressed5x3 --replace {replaced} --dry-run"
        counts = json_of(line)["parameters"]
        assert counts["backbone_total"] == total
        assert counts["model_total"] == model
        assert counts["replaced_layers"] == replaced
        assert counts["head"]["vqc"] == 45
        assert counts["reduction_percent_model"] == pytest.approx(of_model, abs=0.005)
        assert counts["reduction_percent_replaced"] == pytest.approx(of_replaced, abs=0.005)


@pytest.mark.slow
def test_replacing_all_is_replacing_every_dense_layer(json_of):
    every = json_of(f"run {FEW} --head dressed5x3 --replace all --dry-run")["parameters"]
    four = json_of(f"run {FEW} --head dressed5x3 --replace 4 --dry-run")["parameters"]
    assert every == four
