"""Taking the device: threads, memory growth, seeds, and TensorFlow's errors as our own."""

from __future__ import annotations

import logging
import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from odbench.config.spec import RunSpec
from odbench.errors import ConfigError, OutOfMemoryError
from odbench.measure.environment import cpu_model
from odbench.results import Device

_log = logging.getLogger(__name__)


def open_device(spec: RunSpec) -> Device:
    """Configure the visible device and the threads; must come before any operation.

    The parent shows this process one GPU at the most, so the visible one is number 0 here.

    Raises:
        ConfigError: A GPU was asked for and TensorFlow has none.
    """
    runtime = spec.runtime
    tf.config.threading.set_intra_op_parallelism_threads(runtime.intra_op_threads or 0)
    tf.config.threading.set_inter_op_parallelism_threads(runtime.inter_op_threads or 0)
    if runtime.deterministic:
        tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        if runtime.device.startswith("gpu"):
            raise ConfigError(
                "TensorFlow finds no usable GPU",
                where="runtime.device",
                value=runtime.device,
                fix="install the extra odbench[gpu] and a driver, or use runtime.device=cpu",
            )
        return Device(kind="cpu", name=cpu_model())
    tf.config.experimental.set_memory_growth(gpus[0], True)
    name = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "0")  # a number, or an id that NVML has not
    return Device(kind="gpu", name=name, index=int(shown) if shown.isdigit() else None)


def set_seeds(seed: int) -> dict[str, int]:
    """Seed every generator that a run draws from; returns what was set."""
    random.seed(seed)
    np.random.seed(seed)
    tf.random.set_seed(seed)
    return {"python": seed, "numpy": seed, "tensorflow": seed}


def synchronize() -> None:
    """Block until every device has finished what it was given."""
    tf.test.experimental.sync_devices()


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn an exhausted allocator into :class:`~odbench.errors.OutOfMemoryError`."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        first = str(error.message).strip().splitlines()[0][:300]
        raise OutOfMemoryError(
            f"device memory ran out: {first}", fix="lower train.batch_size or the input size"
        ) from error
    except MemoryError as error:
        raise OutOfMemoryError(
            "host memory ran out", fix="lower train.batch_size or the input size"
        ) from error


def device_memory_peak() -> int | None:
    """Highest memory allocated on the GPU since the last call, or None without one."""
    if not tf.config.list_logical_devices("GPU"):
        return None
    peak = int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    tf.config.experimental.reset_memory_stats("GPU:0")
    return peak


def quiet() -> None:
    """Keep the API's and TensorFlow's own chatter out of a run's log."""
    tf.get_logger().setLevel(logging.ERROR)
    logging.getLogger("absl").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(object_detection|tf_slim|tf_keras|keras)\b.*")


def finite(value: Any) -> float | None:
    """A scalar tensor as a float, or None where it is not finite."""
    number = float(value)
    return number if np.isfinite(number) else None
