"""Records of repeats, and of draws over images."""

from dataclasses import replace

from factories import make_record

from odbench.results import Analysis


def repeated_runs(aps, *, name="ssd-b8", batch_size=8, **changes):
    """Repeats of one variant with these AP, named as a sweep names them."""
    return [
        make_record(
            name=name if repeat == 0 else f"{name}-seed{repeat}",
            batch_size=batch_size,
            ap=ap,
            sampling_seed=repeat,
            variant=name,
            repeat=repeat,
            spec={"seed": repeat, "repeat": repeat},
            **changes,
        )
        for repeat, ap in enumerate(aps)
    ]


def with_draws(record, draws, key="same images"):
    """The record with these draws of AP, AP50 and AP75."""
    analysis = Analysis(
        draws={name: list(draws) for name in ("AP", "AP50", "AP75")},
        draws_key=key,
        precision={},
        confusion=[],
        score_threshold=0.5,
        errors={},
        error_counts={},
        pictures=[],
    )
    return replace(record, analysis=analysis)
