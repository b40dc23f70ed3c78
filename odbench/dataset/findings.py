"""What is found when a data set is looked at as a whole, and what strictness makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from odbench.dataset.source import TRAIN, VAL
from odbench.dataset.types import Finding
from odbench.errors import DatasetError

SHOWN = 20  # findings that an error lists


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


def refuse_findings(findings: Sequence[Finding], where: str) -> None:
    """What ``strict`` asks for.

    Raises:
        DatasetError: There is a finding; the first twenty are listed.
    """
    if not findings:
        return
    lines = [describe_finding(finding) for finding in findings[:SHOWN]]
    if len(findings) > SHOWN:
        lines.append(f"and {len(findings) - SHOWN} more")
    raise DatasetError(
        f"{len(findings)} findings, and a strict conversion allows none",
        where=where,
        value="\n           ".join(lines),
        fix="correct them, or convert without strict: each is then counted and named",
    )


def describe_finding(finding: Finding) -> str:
    """A finding in one line."""
    return f"{finding.where}: {finding.kind}: {finding.value} ({finding.action})"
