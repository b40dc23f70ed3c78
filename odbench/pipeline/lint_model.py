"""Rules on the model: architecture, feature extractor, input size, what its tasks need."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from object_detection.protos.pipeline_pb2 import TrainEvalPipelineConfig

from odbench.pipeline.fields import effective, get, which
from odbench.pipeline.lint_extractors import EXTRACTORS, Extractor, fitting_sizes, pyramid_fits
from odbench.pipeline.lint_types import LintContext, LintFinding, Severity

_LEVELS = range(
    2, 11
)  # an FPN's backbones begin at level 2, and nothing is larger than 2**10 cells


def architecture(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """A model is set, and of an architecture that TensorFlow 2 builds."""
    name = which(proto, "model", "model")
    if name not in EXTRACTORS:
        yield LintFinding(
            "architecture",
            f"model.{name}" if name else "model",
            name,
            "no architecture that TensorFlow 2 builds" if name else "no model is set",
            f"set one of {', '.join(EXTRACTORS)}",
        )


def extractor(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """TensorFlow 2 has the feature extractor; the names of TensorFlow 1's differ."""
    model = which(proto, "model", "model")
    if model not in EXTRACTORS or _extractor(proto) is not None:
        return
    path = f"model.{model}.feature_extractor.type"
    name, known = str(effective(proto, path)), EXTRACTORS[model]
    near = difflib.get_close_matches(name, known, n=3)
    if f"{name}_keras" in known:
        near = [f"{name}_keras"]
    yield LintFinding(
        "extractor",
        path,
        name or None,
        f"TensorFlow 2 has no feature extractor of this name for {model}"
        if name
        else "no feature extractor is named",
        f"take {' or '.join(near)}" if near else f"take one of {', '.join(known)}",
    )


def num_classes(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """The model has at least one class."""
    model = which(proto, "model", "model")
    if model not in EXTRACTORS:
        return
    path = f"model.{model}.num_classes"
    if int(effective(proto, path)) < 1:
        yield LintFinding(
            "num_classes",
            path,
            get(proto, path),
            "the model has no class to detect",
            "set the number of classes of the label map",
        )


def input_size(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """The images' size can be taken apart by the network and put together again."""
    kind, model = _extractor(proto), which(proto, "model", "model")
    resizer = which(proto, f"model.{model}.image_resizer", "image_resizer_oneof") if kind else None
    if kind is None:
        return
    path = f"model.{model}.image_resizer"
    if resizer is None:
        yield LintFinding(
            "input_size",
            path,
            None,
            "no image resizer is set",
            "set one, such as fixed_shape_resizer",
        )
        return
    sides = _sides(proto, f"{path}.{resizer}", resizer)
    if sides is None:
        yield from _varying(proto, f"{path}.{resizer}", kind)
        return
    for name, size in sides.items():
        yield from _check_side(proto, f"{path}.{resizer}.{name}", size, kind)


def keypoint_label_map(
    proto: TrainEvalPipelineConfig, context: LintContext
) -> Iterator[LintFinding]:
    """CenterNet's keypoint tasks have the label map that names their keypoints."""
    path = "model.center_net.keypoint_label_map_path"
    if get(proto, "model.center_net.keypoint_estimation_task") and not get(proto, path):
        yield LintFinding(
            "keypoint_label_map",
            path,
            None,
            "keypoints are to be estimated and no label map names them",
            "give the label map that has the classes' keypoints",
        )


def pyramid_levels(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """The levels of a feature pyramid are in order."""
    kind = _extractor(proto)
    if kind is None or kind.pyramid is None or _levels(proto, kind) is not None:
        return
    path = f"model.ssd.feature_extractor.{kind.pyramid}"
    low, high = (int(effective(proto, f"{path}.{name}_level")) for name in ("min", "max"))
    if not _in_order(low, high):
        what = "not the levels of a pyramid, from fine to coarse"
        fix = f"set min_level <= max_level, in {_LEVELS.start}..{_LEVELS.stop - 1}"
        yield LintFinding("pyramid_levels", f"{path}.min_level", [low, high], what, fix)


def masks(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """A model that predicts masks is given masks to learn from."""
    predictor = "model.faster_rcnn.second_stage_box_predictor.mask_rcnn_box_predictor"
    task = get(proto, "model.center_net.mask_estimation_task")
    wanted = effective(proto, f"{predictor}.predict_instance_masks") or task is not None
    path = "train_input_reader.load_instance_masks"
    if wanted and not effective(proto, path):
        yield LintFinding(
            "masks",
            path,
            get(proto, path),
            "the model predicts masks, and none are read",
            "set load_instance_masks: true, and mask_type as the records have them",
        )


def quantization(proto: TrainEvalPipelineConfig, context: LintContext) -> Iterator[LintFinding]:
    """Quantisation-aware training is TensorFlow 1's alone."""
    if proto.HasField("graph_rewriter"):
        yield LintFinding(
            "quantization",
            "graph_rewriter",
            "set",
            "training in TensorFlow 2 does not read it: nothing is quantised",
            "remove it; quantise the exported model instead",
            Severity.warning,
        )


def _extractor(proto: TrainEvalPipelineConfig) -> Extractor | None:
    model = which(proto, "model", "model")
    if model not in EXTRACTORS:
        return None
    name = effective(proto, f"model.{model}.feature_extractor.type")
    return EXTRACTORS[model].get(str(name))


def _sides(proto: TrainEvalPipelineConfig, path: str, resizer: str) -> dict[str, int] | None:
    """Field to pixels of every image after resizing; None where images differ."""
    if resizer == "fixed_shape_resizer":
        return {name: int(effective(proto, f"{path}.{name}")) for name in ("height", "width")}
    if resizer == "keep_aspect_ratio_resizer" and effective(proto, f"{path}.pad_to_max_dimension"):
        return {"max_dimension": int(effective(proto, f"{path}.max_dimension"))}
    if resizer == "pad_to_multiple_resizer":
        return {"multiple": int(effective(proto, f"{path}.multiple"))}
    return None


def _check_side(
    proto: TrainEvalPipelineConfig, path: str, size: int, kind: Extractor
) -> Iterator[LintFinding]:
    padded_resizer = path.endswith(".multiple")
    if not padded_resizer and size < kind.min_size:
        yield _size_finding(path, size, f"smaller than {kind.min_size} pixels", kind.min_size)
        return
    if kind.multiple > 1 and size % kind.multiple:
        above = -(-size // kind.multiple) * kind.multiple
        yield _size_finding(path, size, f"not a multiple of {kind.multiple}", above)
    levels = _levels(proto, kind)
    if levels is None:
        return
    step = int(effective(proto, "model.ssd.feature_extractor.pad_to_multiple"))
    padded = -(-size // step) * step if step > 1 else size
    if not pyramid_fits(padded, *levels):
        below, above = fitting_sizes(size, *levels)
        text = "the levels of the feature pyramid do not double exactly and cannot be added"
        yield _size_finding(path, size, text, above, below)


def _varying(proto: TrainEvalPipelineConfig, path: str, kind: Extractor) -> Iterator[LintFinding]:
    levels = _levels(proto, kind)
    if levels is not None:
        step = int(effective(proto, "model.ssd.feature_extractor.pad_to_multiple"))
        if step > 1 and pyramid_fits(step, *levels):
            return
    if levels is not None or kind.multiple > 1:
        yield LintFinding(
            "input_size",
            path,
            None,
            "the size of the images varies, and not every size fits this feature extractor",
            "take fixed_shape_resizer, or pad_to_max_dimension: true",
            Severity.warning,
        )


def _levels(proto: TrainEvalPipelineConfig, kind: Extractor) -> tuple[int, int, str] | None:
    """Finest level, coarsest level and kind of a pyramid that not every size fits."""
    if kind.pyramid is None:
        return None
    extractor_path = "model.ssd.feature_extractor"
    if kind.pyramid == "fpn" and effective(proto, f"{extractor_path}.use_explicit_padding"):
        return None
    path = f"{extractor_path}.{kind.pyramid}"
    low, high = (int(effective(proto, f"{path}.{name}_level")) for name in ("min", "max"))
    return (low, high, kind.pyramid) if _in_order(low, high) else None


def _in_order(low: int, high: int) -> bool:
    return low in _LEVELS and high in _LEVELS and low <= high


def _size_finding(path: str, size: int, what: str, above: int, below: int = 0) -> LintFinding:
    near = f"{below} or {above}" if below and below != size else str(above)
    return LintFinding("input_size", path, size, what, f"take {near}, or another extractor")
