"""Time both scoring engines on one synthetic problem, and check that their numbers are equal.

The default has the size of COCO val2017 with 100 detections for each image:

    python benchmarks/scoring.py
    python benchmarks/scoring.py --images 500 --detections 50000
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from odbench.config.spec import ScoringEngine
from odbench.evaluation.coco import Scores, score
from odbench.evaluation.inputs import load_detections, load_ground_truth
from odbench.records import write_json

CLASSES = 80
BOXES_PER_IMAGE = 36_616 / 5_000  # of val2017, crowds left out
WIDTH, HEIGHT = 640, 480


def main() -> int:
    arguments = _parse()
    rng = random.Random(arguments.seed)
    truth = ground_truth(rng, arguments.images)
    found = detections(rng, truth, arguments.detections)
    print(
        f"{arguments.images} images, {len(truth['annotations'])} boxes, "
        f"{len(found)} detections, {CLASSES} classes"
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "ground_truth.json"), Path(folder, "detections.json")
        write_json(paths[0], truth)
        write_json(paths[1], found)
        return _compare(*paths)


def _compare(truth_path: Path, found_path: Path) -> int:
    begin = time.perf_counter()
    truth, found = load_ground_truth(truth_path), load_detections(found_path)
    print(f"read and check     {time.perf_counter() - begin:8.2f} s")

    scores: dict[ScoringEngine, Scores] = {}
    seconds: dict[ScoringEngine, float] = {}
    for engine in ScoringEngine:
        score({"images": [], "annotations": [], "categories": []}, [], engine)  # imports it
        begin = time.perf_counter()
        scores[engine] = score(truth, found, engine)
        seconds[engine] = time.perf_counter() - begin
        print(f"{engine.value:<18} {seconds[engine]:8.2f} s, checks included")
    reference, other = ScoringEngine.pycocotools, ScoringEngine.faster_coco_eval
    print(f"ratio              {seconds[reference] / seconds[other]:8.2f}")
    equal = (
        scores[reference].metrics == scores[other].metrics
        and scores[reference].per_class == scores[other].per_class
    )
    print(f"AP {scores[reference].metrics['AP']}")
    print(f"metrics and AP by class equal to the last bit: {'yes' if equal else 'NO'}")
    return 0 if equal else 1


def ground_truth(rng: random.Random, images: int) -> dict[str, Any]:
    """Boxes of log-uniform sizes, with a few crowds; classes as unevenly frequent as in COCO."""
    weights = [1 / (1 + index) for index in range(CLASSES)]
    annotations = []
    for number in range(1, round(images * BOXES_PER_IMAGE) + 1):
        width, height = 8 * 40 ** rng.random(), 8 * 40 ** rng.random()
        annotations.append(
            {
                "id": number,
                "image_id": rng.randint(1, images),
                "category_id": rng.choices(range(1, CLASSES + 1), weights)[0],
                "bbox": [rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), width, height],
                "iscrowd": int(rng.random() < 0.01),
            }
        )
    return {
        "images": [{"id": number} for number in range(1, images + 1)],
        "categories": [{"id": n, "name": f"class {n}"} for n in range(1, CLASSES + 1)],
        "annotations": annotations,
    }


def detections(rng: random.Random, truth: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Every box found once with some error, while the number lasts; the rest at random."""
    found = []
    for box in truth["annotations"][:number]:
        x, y, width, height = box["bbox"]
        spread = rng.random() * 0.2
        shifted = [x + rng.gauss(0, spread) * width, y + rng.gauss(0, spread) * height]
        found.append(_detection(box, [*shifted, width, height], rng.betavariate(4, 2)))
    while len(found) < number:
        box = rng.choice(truth["annotations"])
        corner = [rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)]
        found.append(_detection(box, [*corner, *box["bbox"][2:]], rng.betavariate(1, 8)))
    return found


def _detection(box: dict[str, Any], bbox: list[float], score: float) -> dict[str, Any]:
    kept = {"image_id": box["image_id"], "category_id": box["category_id"]}
    return kept | {"bbox": [round(value, 2) for value in bbox], "score": round(score, 4)}


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--detections", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
