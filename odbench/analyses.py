"""``Analysis``: what the kept detections of a run tell beyond COCO's numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

PICTURES_DIR = "pictures"  # of a run: small pictures without boxes, ``<image id>.jpg``


@dataclass(frozen=True)
class SeenPicture:
    """How one evaluation picture was detected, at IoU 0.5 and ``Analysis.score_threshold``.

    Boxes lie one after the other in flat lists, which thousands of records can afford: index of
    the class, x, y, width and height in pixels, and of a detection its score.
    """

    image_id: int
    file_name: str
    objects: int
    found: int  # objects with a detection of their class
    false: int  # detections without an object
    size: list[int] = field(default_factory=list)  # width, height; empty: no boxes were kept
    truth: list[float] = field(default_factory=list)  # five numbers an object, crowds left out
    detections: list[float] = field(default_factory=list)  # six numbers each, by falling score

    @property
    def f1(self) -> float:
        """Of objects and detections; a picture without either is perfect."""
        total = self.objects + self.found + self.false
        return 2 * self.found / total if total else 1.0

    def true_boxes(self) -> Iterator[tuple[int, list[float]]]:
        """Class and box of each object."""
        for start in range(0, len(self.truth), 5):
            kind, *box = self.truth[start : start + 5]
            yield int(kind), box

    def detected_boxes(self) -> Iterator[tuple[int, list[float], float]]:
        """Class, box and score of each detection."""
        for start in range(0, len(self.detections), 6):
            kind, *box, score = self.detections[start : start + 6]
            yield int(kind), box, score


@dataclass(frozen=True)
class Analysis:
    """Made after the run, in no timed part.

    Draws of one ``draws_key`` picked the same images: they are paired. Errors: arXiv:2008.08115.
    """

    draws: dict[str, list[float | None]]  # AP, AP50, AP75 of each image-bootstrap draw, 0..1
    draws_key: str  # of the images, their ground truth and the seed of the draws
    precision: dict[str, list[float | None]]  # by class, IoU 0.5, at recall 0, 0.01 .. 1
    confusion: list[list[int]]  # [true class or background][detected class or missed], counts
    score_threshold: float  # of what the confusion matrix and the pictures count
    errors: dict[str, float | None]  # AP50 lost to a kind of error, 0..1
    error_counts: dict[str, int]
    # Some that every run on these images keeps, and the run's own worst and best; the worst first
    pictures: list[SeenPicture]
