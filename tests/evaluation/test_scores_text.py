import json

from odbench.config.spec import ScoringEngine
from odbench.evaluation.coco import Scores
from odbench.evaluation.text import render_scores, scores_to_json

SCORES = Scores(
    metrics={"AP": 0.12345, "AP_small": None, "AR100": 1.0},
    per_class={"traffic light": 0.5, "cat": None},
    engine=ScoringEngine.pycocotools,
    images=1,
    detections=20,
)


def test_table():
    assert render_scores(SCORES).splitlines() == [
        "1 image, 20 detections, scored by pycocotools",
        "",
        "AP             0.1235",
        "AP_small            -",
        "AR100          1.0000",
        "",
        "AP by class",
        "traffic light  0.5000",
        "cat                 -",
    ]


def test_table_without_classes_ends_with_the_metrics():
    scores = Scores({"AP": None}, {}, ScoringEngine.faster_coco_eval, 0, 0)
    assert render_scores(scores).splitlines()[2:] == ["AP       -"]


def test_json_keeps_every_digit_and_null():
    body = json.loads(json.dumps(scores_to_json(SCORES), allow_nan=False))
    assert body == {
        "metrics": {"AP": 0.12345, "AP_small": None, "AR100": 1.0},
        "per_class": {"traffic light": 0.5, "cat": None},
        "engine": "pycocotools",
        "iou_type": "bbox",
        "images": 1,
        "detections": 20,
    }
