"""What the Object Detection API reads from TensorFlow, NumPy and Pillow and no longer finds.

The API was last released for TensorFlow 2.x of 2022. This module gives back, under their old
names, the few things that it still looks up. It is active only in the child process of a run:
nothing else imports it. Everything is listed here, with the reader of each:

===========================================  ====================================================
given back                                   read by
===========================================  ====================================================
``tf.compat.v1.estimator``                   ``inputs``, ``model_lib`` on import: mode constants
                                             and class names; nothing of it is ever called
``control_flow_ops.{case, cond, while_loop}``  ``core.preprocessor``, tf-slim
``np.int``, ``np.float``, ``np.bool``        data augmentation and mask code
``tensorflow_io``                            the DeepMAC architecture, on import
``tf.compat.v1.keras`` with ``tf_keras``     everything: legacy Keras by ``TF_USE_LEGACY_KERAS``
===========================================  ====================================================

Two things are taken away. ``map_with_legacy_function`` of version 1 data sets: the API prefers it
where it exists, but a legacy function does not see the seed, so every augmentation would be drawn
unseeded; without it the API maps by ordinary functions. And the ImageNet weights that the API
downloads while it builds a CenterNet on MobileNet v2: a run starts from what it was told to.
"""

from __future__ import annotations

import enum
import functools
import importlib.util
import os
import sys
import types
from typing import Any


def prepare_environment() -> None:
    """Set what TensorFlow reads once, on its first import; must come before it."""
    if "tensorflow" in sys.modules:
        raise RuntimeError("TensorFlow was imported before its environment was prepared")
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def install() -> None:
    """Give the missing names back. Idempotent; needs :func:`prepare_environment` first."""
    import numpy as np
    import tensorflow as tf
    from tensorflow.python.ops import cond, control_flow_case, control_flow_ops, while_loop

    for name, kind in (("int", int), ("float", float), ("bool", bool)):
        if name not in np.__dict__:
            setattr(np, name, kind)
    given = {
        "case": control_flow_case.case,
        "cond": cond.cond,
        "while_loop": while_loop.while_loop,
    }
    for name, function in given.items():
        if not hasattr(control_flow_ops, name):
            setattr(control_flow_ops, name, function)
    _install_module("tensorflow_io", types.ModuleType("tensorflow_io"))
    _install_estimator(tf)
    legacy = tf.compat.v1.data.Dataset
    if hasattr(legacy, "map_with_legacy_function"):
        del legacy.map_with_legacy_function
    _install_no_downloads(tf.compat.v1.keras.applications)


def _install_no_downloads(applications: Any) -> None:
    build = applications.MobileNetV2
    if isinstance(build, functools.partial):
        return  # installed before

    def without_weights(*arguments: Any, **options: Any) -> Any:
        return build(*arguments, **{**options, "weights": None})

    applications.MobileNetV2 = functools.partial(without_weights)


def _install_module(name: str, module: types.ModuleType) -> None:
    """Make ``import name`` succeed where the real package is not installed."""
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        sys.modules[name] = module


class _ModeKeys(enum.StrEnum):
    TRAIN = "train"
    EVAL = "eval"
    PREDICT = "infer"


class _NeverCalled:
    """Stands where a class of the removed Estimator is named but never made."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("the Estimator was removed from TensorFlow")


def _install_estimator(tf: Any) -> None:
    if hasattr(tf.compat.v1, "estimator"):
        return
    estimator = types.ModuleType("tensorflow.compat.v1.estimator")
    members: dict[str, Any] = {
        "ModeKeys": _ModeKeys,
        "tpu": types.SimpleNamespace(TPUEstimatorSpec=_NeverCalled),
    }
    for name in ("Estimator", "EstimatorSpec", "EvalSpec", "TrainSpec"):
        members[name] = _NeverCalled
    estimator.__dict__.update(members)
    tf.compat.v1.estimator = estimator
    # `from tensorflow.compat.v1 import estimator` looks the name up on the same module
    sys.modules["tensorflow.compat.v1"].__dict__["estimator"] = estimator
