"""The feature extractors that TensorFlow 2 builds, and the input sizes that they can take.

The names are those of the API's ``model_builder``, which cannot be asked without importing
TensorFlow; a test holds the table equal to it. The sizes follow from the extractors' code:

* An SSD with a feature pyramid adds each level, enlarged twice, to the one below it. Levels have
  ``ceil(size / 2**level)`` cells, so the finest must be divisible by 2 as often as levels are
  added. With ``use_explicit_padding`` the enlarged level is cropped, and any size will do.
* A BiFPN adds all of its levels, also those beyond the backbone's last.
* CenterNet compares its output with targets of ``size // 4`` cells: the size must be a multiple
  of what the network reduces it by and enlarges again, 32, or 4 times 2 per hourglass stage.
* Faster R-CNN has no such condition: its pyramid pads the images to a multiple of 32 itself.
"""

from __future__ import annotations

from dataclasses import dataclass

_BACKBONE_LEVEL = 5  # the last that an FPN takes from its backbone, whatever its max_level


@dataclass(frozen=True)
class Extractor:
    """One feature extractor.

    Attributes:
        multiple: The input size must be a multiple of it, in pixels.
        min_size: Smallest side that the extractor takes, in pixels.
        pyramid: Name of the field that holds ``min_level`` and ``max_level``: fpn or bifpn.
        classifier: A classification checkpoint can be restored into it.
    """

    multiple: int = 1
    min_size: int = 1
    pyramid: str | None = None
    classifier: bool = True


def _ssd() -> dict[str, Extractor]:
    mobilenets = {
        f"ssd_mobilenet_{version}{fpn}_keras": Extractor(min_size=33, pyramid=fpn[1:] or None)
        for version in ("v1", "v2")
        for fpn in ("", "_fpn")
    }
    resnets = {
        f"ssd_resnet{depth}_v1_fpn_keras": Extractor(min_size=129, pyramid="fpn")
        for depth in (50, 101, 152)
    }
    efficientnets = {
        f"ssd_efficientnet-b{size}_bifpn_keras": Extractor(min_size=129, pyramid="bifpn")
        for size in range(8)
    }
    return {**mobilenets, **resnets, **efficientnets}


def _faster_rcnn() -> dict[str, Extractor]:
    names = [f"resnet{depth}{fpn}" for depth in (50, 101, 152) for fpn in ("", "_fpn")]
    return {f"faster_rcnn_{name}_keras": Extractor() for name in [*names, "inception_resnet_v2"]}


def _center_net() -> dict[str, Extractor]:
    reduced = [
        *(f"resnet_v2_{depth}" for depth in (50, 101)),
        *(f"resnet_v1_{depth}_fpn" for depth in (18, 34, 50, 101)),
        *(f"mobilenet_v2{kind}" for kind in ("", "_fpn", "_fpn_sep_conv")),
    ]
    stages = {10: 1, 20: 2, 32: 3, 52: 5, 104: 5}
    hourglasses = {
        f"hourglass_{depth}": Extractor(multiple=4 * 2**count, classifier=False)
        for depth, count in stages.items()
    }
    return {**dict.fromkeys(reduced, Extractor(multiple=32)), **hourglasses}


# By member of DetectionModel's oneof.
EXTRACTORS: dict[str, dict[str, Extractor]] = {
    "ssd": _ssd(),
    "faster_rcnn": _faster_rcnn(),
    "center_net": _center_net(),
}


def pyramid_fits(size: int, min_level: int, max_level: int, pyramid: str) -> bool:
    """Whether every level of a pyramid has twice the cells of the next.

    Args:
        size: One side of the image after padding, in pixels.
        min_level: Finest level, of ``ceil(size / 2**min_level)`` cells.
        max_level: Coarsest level.
        pyramid: ``fpn`` or ``bifpn``.
    """
    last = min(max_level, _BACKBONE_LEVEL) if pyramid == "fpn" else max_level
    cells = -(-size // (1 << min_level))
    return cells % (1 << max(last - min_level, 0)) == 0


def fitting_sizes(size: int, min_level: int, max_level: int, pyramid: str) -> tuple[int, int]:
    """The sides that fit next below (0 if there is none) and next above, in pixels."""
    last = min(max_level, _BACKBONE_LEVEL) if pyramid == "fpn" else max_level
    step = 1 << max(last, min_level)
    return size // step * step, -(-size // step) * step
