"""Scripts that read records with the API's own decoder, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

START = """
import json, sys
from odbench.dataset.example import encode_example
# its message types lie beside TensorFlow's
from odbench.dataset.stored_example import decode_example
from odbench.dataset.types import LabelledImage
decode_example(encode_example(LabelledImage("a.jpg", b"x", "jpeg", 2, 2, []), 1, {}))
from odbench.backend.tfod import compat
compat.prepare_environment()
compat.install()
import tensorflow as tf
from object_detection.data_decoders.tf_example_decoder import TfExampleDecoder
from object_detection.protos import input_reader_pb2
"""


def decoded(script: str, label_map: Path, records: list[Path]) -> list[dict[str, Any]]:
    """What a script prints of each record, in a process of its own."""
    command = [sys.executable, "-c", START + script, str(label_map), *map(str, records)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line[1:]) for line in done.stdout.splitlines() if line.startswith("@")]
