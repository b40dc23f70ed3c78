"""What is found when a data set is looked at as a whole, and what strictness makes of it.

A finding is a warning, unless its kind is one of ``NOTES``: those say what was left alone, which
is no defect of the data. They are counted and named like the others, and ``strict`` allows them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from odbench.config.dataset_spec import DatasetSpec
from odbench.dataset.files import source_root
from odbench.dataset.source import TRAIN, VAL
from odbench.dataset.types import Finding
from odbench.errors import DatasetError

SHOWN = 20  # findings that an error lists

NOTES = frozenset({"split_left_out"})

# With fewer, each picture decides more than a fifth of what is measured.
LEAST_VAL_IMAGES = 5


def warnings_in(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that are not only notes."""
    return [finding for finding in findings if finding.kind not in NOTES]


def size_findings(images: Mapping[str, int]) -> list[Finding]:
    """A validation split of fewer than five pictures.

    Args:
        images: By split.
    """
    if images[VAL] >= LEAST_VAL_IMAGES:
        return []
    value = f"{images[VAL]} of {sum(images.values())} images"
    return [Finding("val_too_small", VAL, value, "kept: AP on so few images says little")]


def class_findings(boxes: Mapping[str, Mapping[str, int]], label_map: str) -> list[Finding]:
    """Classes without boxes, and classes that only one split has boxes of.

    Args:
        boxes: By split, by class; every class is in every split.
        label_map: Where the classes are named.
    """
    found = []
    for name in boxes[TRAIN]:
        if not boxes[TRAIN][name] and not boxes[VAL][name]:
            found.append(Finding("empty_class", label_map, name, "kept in the label map"))
    for split, other in ((TRAIN, VAL), (VAL, TRAIN)):
        for name, count in boxes[split].items():
            if count and not boxes[other][name]:
                value = f"{count} boxes, none in {other}"
                found.append(Finding(f"class_only_in_{split}", name, value, "kept"))
    return found


def relative_findings(findings: Iterable[Finding], spec: DatasetSpec) -> list[Finding]:
    """The findings with paths relative to the folder of the source, wherever that lies."""
    if spec.dir is None:
        return list(findings)
    prefix = f"{source_root(spec)[0]}/"
    return [
        dataclasses.replace(finding, where=finding.where.removeprefix(prefix))
        for finding in findings
    ]


def refuse_findings(findings: Sequence[Finding], where: str) -> None:
    """What ``strict`` asks for.

    Raises:
        DatasetError: There is a finding that is not a note; the first twenty are listed.
    """
    refused = warnings_in(findings)
    if not refused:
        return
    lines = [describe_finding(finding) for finding in refused[:SHOWN]]
    if len(refused) > SHOWN:
        lines.append(f"and {len(refused) - SHOWN} more")
    raise DatasetError(
        f"{len(refused)} findings, and a strict conversion allows none",
        where=where,
        value="\n           ".join(lines),
        fix="correct them, or convert without strict: each is then counted and named",
    )


def describe_finding(finding: Finding) -> str:
    """A finding in one line."""
    return f"{finding.where}: {finding.kind}: {finding.value} ({finding.action})"
