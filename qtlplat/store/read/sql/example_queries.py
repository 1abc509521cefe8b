"""Questions in SQL to start from, for `sql --examples` and the docs; a test asks every one of them."""

from __future__ import annotations

# question -> query; over views, for these leave the trash out
EXAMPLES = {
    "the best runs": """
SELECT run, backbone, head, round(f1, 4) AS f1, round(sqrt(f1_variance), 4) AS sd, cells
FROM v_runs WHERE kind = 'run' AND status = 'finished' ORDER BY v_runs.f1 DESC LIMIT 10
""",
    "every head at its best, and how many parameters that took": """
SELECT head, count(*) AS runs, max(f1) AS best, min(trainable) AS parameters
FROM v_runs WHERE kind = 'run' GROUP BY head ORDER BY best DESC
""",
    "a head against its controls, cell by cell": """
SELECT h.run, h.backbone_index, h.fold, h.seed, c.variant, h.f1 - c.f1 AS difference
FROM v_cells h JOIN v_cells c
  ON c.run = h.run AND c.backbone_index = h.backbone_index AND c.fold = h.fold AND c.seed = h.seed
WHERE h.variant = 'head' AND c.variant <> 'head' ORDER BY h.run, c.variant, h.backbone_index, h.fold
""",
    "how far the backbones of a run are apart": """
SELECT run, head, backbone_index, count(*) AS cells, avg(f1) AS f1
FROM v_cells WHERE kind = 'run' AND variant = 'head' GROUP BY run, head, backbone_index ORDER BY run, backbone_index
""",
    "which folds are hard, over all heads": """
SELECT fold, count(*) AS cells, avg(f1) AS f1, min(f1) AS worst
FROM v_cells WHERE kind = 'run' AND variant = 'head' GROUP BY fold ORDER BY avg(f1)
""",
    "the epoch at which the loss was least, for each cell": """
SELECT run, cell, epoch, min(test_loss) AS least_loss
FROM v_epochs WHERE kind = 'run' AND variant = 'head' GROUP BY run, cell
""",
    "the samples that most runs get wrong": """
SELECT sample, class, count(DISTINCT run) AS runs, avg(confidence) AS confidence
FROM v_predictions WHERE kind = 'run' AND variant = 'head' AND NOT correct
GROUP BY sample, class ORDER BY runs DESC, confidence DESC LIMIT 20
""",
    "which classes are taken for which": """
SELECT head, class, predicted_class, count(*) AS times
FROM v_predictions WHERE kind = 'run' AND variant = 'head' GROUP BY head, class, predicted_class
""",
    "an option of the heads with their scores": """
SELECT json_extract(k.options, '$.layers') AS layers, count(*) AS runs, avg(r.f1) AS f1
FROM v_runs r JOIN components k ON k.run_id = r.run AND k.role = 'head' GROUP BY layers ORDER BY layers
""",
    "runs with a tag, and what is noted on them": """
SELECT r.run, r.head, r.f1, r.note FROM v_runs r JOIN tags t ON t.run_id = r.run WHERE t.tag = 'paper'
""",
    "hours spent, by day and by machine": """
SELECT date(created) AS day, host, count(*) AS runs, round(sum(seconds) / 3600, 2) AS hours
FROM v_runs GROUP BY day, host ORDER BY day DESC
""",
    "the versions that runs were made with": """
SELECT v.value AS torch, count(*) AS runs, min(r.created) AS first, max(r.created) AS last
FROM v_runs r JOIN environment v ON v.run_id = r.run AND v.name = 'torch' GROUP BY torch
""",
    "pretrainings, and how many runs build on each": """
SELECT p.run, p.backbone, p.accuracy_max, count(r.run) AS runs
FROM v_runs p LEFT JOIN v_runs r ON r.pretraining = p.run WHERE p.kind = 'pretraining' GROUP BY p.run
""",
    "verdicts on a publication's claims": """
SELECT recipe, budget, verdict, count(*) AS claims FROM v_claims GROUP BY recipe, budget, verdict
""",
}
