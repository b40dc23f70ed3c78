"""Models of the published zoo that cannot be chosen, and why."""

from __future__ import annotations

# Name of the tarball, as in `model=NAME`, to the reason.
REFUSED_MODELS = {
    "extremenet": (
        "ExtremeNet is published as weights alone, for CenterNet HourGlass104 to start from: "
        "the TensorFlow Object Detection API has no such architecture and cannot build it"
    ),
}
