"""Made-up analyses of detections, for records of tests/factories.py."""

import random

from factories import CLASSES

from odbench.results import Analysis, PictureQuality

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
        pictures=[
            PictureQuality(n, f"{n:06d}.png", 3, max(0, 3 - n), n % 2)
            for n in range(1, pictures + 1)
        ],
    )


def _curve(rng, ap):
    reach = min(1.0, ap * 1.5 + rng.uniform(0, 0.2))
    return [max(0.0, 1 - (i / 100) ** 3) if i / 100 < reach else 0.0 for i in range(101)]
