"""Made-up analyses of detections, for records of tests/factories.py."""

import random

from factories import CLASSES

from odbench.analyses import Analysis, SeenPicture

KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")


def make_analysis(ap=0.43, seed=0, pictures=3):
    """An analysis whose numbers fit an AP: draws around it, curves that fall, a confusion."""
    rng = random.Random(seed)
    draws = [min(1.0, max(0.0, rng.gauss(ap, 0.02))) for _ in range(200)]
    counts = [[20 if i == j else rng.randrange(3) for j in range(4)] for i in range(4)]
    counts[3][3] = 0
    return Analysis(
        draws={"AP": draws, "AP50": [min(1.0, 1.4 * d) for d in draws], "AP75": draws},
        draws_key="made-up",
        precision={name: _curve(rng, ap) for name in CLASSES},
        confusion=counts,
        score_threshold=0.3,
        errors={kind: round(rng.uniform(0, 0.1), 4) for kind in KINDS},
        error_counts={kind: rng.randrange(40) for kind in KINDS},
        pictures=[_seen(n, seed) for n in range(1, pictures + 1)],
    )


def _seen(number, seed):
    """Found of its three objects: 2, 1 or 0; a box is one pixel further right by the seed."""
    found = max(0, 3 - number)
    truth = [n for i in range(3) for n in (i, 10 + 40 * i, 20, 30, 40)]
    detections = [n for i in range(found) for n in (i, 10 + 40 * i + seed % 5, 21, 30, 40, 0.9)]
    name = f"{number:06d}.png"
    return SeenPicture(number, name, 3, found, number % 2, [128, 128], truth, detections)


def _curve(rng, ap):
    reach = min(1.0, ap * 1.5 + rng.uniform(0, 0.2))
    return [max(0.0, 1 - (i / 100) ** 3) if i / 100 < reach else 0.0 for i in range(101)]
