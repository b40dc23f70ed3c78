"""What TensorFlow 2 builds and how it starts from a checkpoint, by architecture."""

from __future__ import annotations

import difflib

from google.protobuf.message import Message

from odbench.errors import PipelineError
from odbench.pipeline.fields import effective, which
from odbench.pipeline.lint_extractors import EXTRACTORS
from odbench.pipeline.parse import ROOT

# The architectures that TensorFlow 2 builds.
ARCHITECTURES = tuple(EXTRACTORS)

# What the API's `restore_from_objects` knows, the same for all three: the backbone of an image
# classifier, the whole feature extractor of a detector, or a whole detector with its heads.
CLASSIFICATION, DETECTION, FULL = FINE_TUNE_TYPES = ("classification", "detection", "full")

# Where a detector keeps its feature extractor, and so how the names in its checkpoint begin.
EXTRACTOR_ATTRIBUTES = {
    "ssd": "_feature_extractor",
    "faster_rcnn": "_feature_extractor_for_proposal_features",
    "center_net": "_feature_extractor",
}


def architecture_of(proto: Message) -> str:
    """The architecture of a configuration, known to be one that TensorFlow 2 builds.

    Raises:
        PipelineError: None is set, one without TensorFlow 2, or an extractor of TensorFlow 1.
    """
    architecture = which(proto, "model", "model")
    if architecture not in EXTRACTORS:
        raise PipelineError(
            "no architecture that can be trained",
            where=f"{ROOT}.model",
            value=architecture or "none",
            allowed=", ".join(ARCHITECTURES),
            fix="choose a model: model=NAME",
        )
    _check_extractor(proto, architecture)
    return architecture


def extractor_of(proto: Message) -> str:
    """The ``type`` of the feature extractor of a configuration that has an architecture."""
    architecture = which(proto, "model", "model")
    return str(effective(proto, f"model.{architecture}.feature_extractor.type"))


def family_of(proto: Message) -> str:
    """The family of a configuration as the zoo's entries name it; raises as above."""
    architecture = architecture_of(proto)
    if architecture == "center_net":
        return "centernet"
    if architecture == "faster_rcnn":
        masks = "second_stage_box_predictor.mask_rcnn_box_predictor.predict_instance_masks"
        return "mask_rcnn" if effective(proto, f"model.faster_rcnn.{masks}") else "faster_rcnn"
    extractor = extractor_of(proto)
    if "efficientnet" in extractor:
        return "efficientdet"
    return "ssd_fpn" if "_fpn_" in extractor else "ssd"


def _check_extractor(proto: Message, architecture: str) -> None:
    name, known = extractor_of(proto), EXTRACTORS[architecture]
    if name in known:
        return
    near = difflib.get_close_matches(f"{name.removesuffix('_keras')}_keras", known, n=1)
    raise PipelineError(
        "TensorFlow 2 has no such feature extractor; one without _keras is of TensorFlow 1"
        if name
        else "no feature extractor is named",
        where=f"{ROOT}.model.{architecture}.feature_extractor.type",
        value=name or "not set",
        allowed=", ".join(sorted(known)),
        fix=f"start from a configuration of TensorFlow 2, such as one with {near[0]}"
        if near
        else "start from a configuration of TensorFlow 2",
    )
