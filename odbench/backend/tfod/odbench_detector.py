"""An exported detector as MLflow loads it: copied into each registered model, alone.

It needs TensorFlow, NumPy and nothing of odbench, so a model outlives the version that made it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


class Detector:
    """A SavedModel of the Object Detection API.

    Args:
        folder: Holds ``saved_model``, ``label_map.pbtxt`` and ``record.json``.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._loaded = tf.saved_model.load(str(folder / "saved_model"))
        self._detect = self._loaded.signatures["serving_default"]
        self._as_tensor = tf.constant

    def predict(self, image: Any, params: Any = None) -> dict[str, Any]:
        """Detections of one image.

        Args:
            image: RGB, ``uint8``, shape [1, height, width, 3].
            params: None are known.

        Returns:
            Arrays of the model's outputs by the API's names: ``detection_boxes`` [1, N, 4] as
            ymin, xmin, ymax, xmax in 0..1, ``detection_scores`` and ``detection_classes`` [1, N],
            classes as in the label map, ``num_detections`` [1].
        """
        tensor = self._as_tensor(np.asarray(image, dtype=np.uint8))
        return {name: value.numpy() for name, value in self._detect(input_tensor=tensor).items()}


def _load_pyfunc(path: str) -> Detector:
    return Detector(Path(path))
