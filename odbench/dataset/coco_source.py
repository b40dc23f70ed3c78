"""COCO JSON and the pictures that it names, with instance masks and keypoints.

Layouts: the JSON beside its pictures (also Roboflow's ``_annotations.coco.json`` in ``train/``,
``valid/`` and ``test/``), and COCO's own ``annotations/`` beside folders of pictures.
"""

from __future__ import annotations

import dataclasses
import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from odbench.config.dataset_spec import DatasetSpec
from odbench.dataset.annotated import AnnotatedPicture, AnnotatedSource
from odbench.dataset.boxes import MAX_OVERHANG_PX
from odbench.dataset.coco_json import read_coco
from odbench.dataset.files import SplitFiles, files_by_split, named_files, source_root
from odbench.dataset.going_on import one_of_many
from odbench.dataset.masks import blank_mask, encode_mask, read_segmentation
from odbench.dataset.picture import Picture
from odbench.dataset.source import Survey
from odbench.dataset.types import Box, Finding, LabelledImage
from odbench.errors import DatasetError

_MARKS = (rb'"images"\s*:\s*\[', rb'"annotations"\s*:\s*\[', rb'"categories"\s*:\s*\[')

Keypoints = tuple[tuple[float, float, int], ...]


class CocoSource(AnnotatedSource):
    """COCO JSON files and the pictures that they name.

    Where one object of the set has a mask, every object gets one: blank where the file has none,
    so that a record has as many masks as boxes. Likewise every object gets the keypoints of all
    classes together, those of other classes as not labelled.
    """

    kind = "coco"

    def __init__(self, spec: DatasetSpec) -> None:
        super().__init__(spec)
        self._keypoints: dict[str, list[str]] = {}  # by class
        self._names: tuple[str, ...] = ()  # of all classes together, in order
        self._has_masks = False

    def files(self) -> SplitFiles:
        """The JSON files of the source."""
        root, one = source_root(self._spec)
        if one is not None:
            return SplitFiles(pool=[one])
        return named_files(self._spec, root) or files_by_split(find_coco_files(root), root)

    def survey(self) -> Survey:
        """Read the files, find and hash their pictures."""
        self._keypoints, self._has_masks = {}, False
        survey = super().survey()
        self._names = tuple(dict.fromkeys(n for names in self._keypoints.values() for n in names))
        return dataclasses.replace(
            survey,
            findings=_empty_in_all(survey, self._spec.label_map is not None),
            keypoints=dict(self._keypoints),
            has_masks=self._has_masks,
        )

    def read(self, path: Path, findings: list[Finding]) -> Iterator[AnnotatedPicture]:
        """The pictures of one JSON file, in its order."""
        file = read_coco(path)
        findings += file.findings
        yield from file.pictures
        shapes = [shape for picture in file.pictures for shape in picture.shapes]
        self._has_masks |= any("segmentation" in shape for shape in shapes)
        for category in file.categories.values():
            names = self._keypoints.setdefault(category.name, [])
            names += [name for name in category.keypoints if name not in names]
        self._keypoints = {label: names for label, names in self._keypoints.items() if names}

    def load(self, key: str) -> tuple[LabelledImage, list[Finding]]:
        """Read a picture and fit its boxes, masks and keypoints to it."""
        image, findings = super().load(key)
        return dataclasses.replace(image, keypoint_names=self._names), findings

    def complete(
        self, annotated: AnnotatedPicture, picture: Picture
    ) -> tuple[list[tuple[Box, str]], list[Finding]]:
        """Draw the masks and put the keypoints in order."""
        findings: list[Finding] = []
        objects = []
        for (box, where), shape in zip(annotated.objects, annotated.shapes, strict=True):
            with one_of_many():
                completed = box
                if self._has_masks:
                    completed = _with_mask(completed, shape, picture, where, findings)
                if self._names:
                    points = self._points(box.label, shape, picture, where, findings)
                    completed = completed._replace(keypoints=points)
                objects.append((completed, where))
        return objects, findings

    def _points(
        self,
        label: str,
        shape: dict[str, Any],
        picture: Picture,
        where: str,
        findings: list[Finding],
    ) -> Keypoints:
        own = dict(zip(self._keypoints.get(label, ()), shape.get("keypoints", ()), strict=False))
        points = []
        for name in self._names:
            x, y, seen = own.get(name, (0.0, 0.0, 0))
            width, height = picture.label_size
            beyond = max(-x, -y, x - width, y - height)
            if seen and beyond > MAX_OVERHANG_PX:
                value = f"{name} at {x:g}, {y:g}"
                findings.append(Finding("keypoint_outside", where, value, "taken as not labelled"))
                x, y, seen = 0.0, 0.0, 0
            points.append((x, y, seen))
        return tuple(points)


def find_coco_files(root: Path) -> list[Path]:
    """The JSON files with COCO's lists in a folder or one below; ``instances_*`` before others.

    Raises:
        DatasetError: There is none.
    """
    candidates = sorted([*root.glob("*.json"), *root.glob("*/*.json")])
    files = [path for path in candidates if holds_coco(path)]
    if not files:
        raise DatasetError(
            "no COCO JSON in the folder",
            where="dataset.dir",
            value=root,
            allowed="a JSON file with images, annotations and categories",
            fix="give its folder, or the file itself",
        )
    # COCO's own folder holds keypoints and captions of the same pictures too.
    return [path for path in files if path.name.startswith("instances")] or files


def holds_coco(path: Path) -> bool:
    """Whether a file has COCO's three lists somewhere; it is searched and not parsed."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return all(re.search(mark, data) for mark in _MARKS)
    except (OSError, ValueError):  # an empty file cannot be mapped
        return False


def _with_mask(
    box: Box, shape: dict[str, Any], picture: Picture, where: str, findings: list[Finding]
) -> Box:
    mask, found = read_segmentation(shape.get("segmentation"), *picture.label_size, where)
    findings += found
    if mask is None:
        action = "got a blank mask of weight 0"
        findings.append(Finding("box_without_mask", where, box.label, action))
        return box._replace(mask_png=blank_mask(*picture.label_size), mask_area=0.0)
    area = float(np.count_nonzero(mask))
    return box._replace(mask_png=encode_mask(mask), mask_area=area)


def _empty_in_all(survey: Survey, label_map_given: bool) -> list[Finding]:
    """The findings without classes that another file has objects of.

    A given label map says which classes there are, and the conversion names its empty ones.
    """
    seen: set[str] = set()
    kept = []
    for finding in survey.findings:
        if finding.kind == "empty_class":
            if label_map_given or finding.value in {*survey.classes, *seen}:
                continue
            seen.add(finding.value)
        kept.append(finding)
    return kept
