"""Overrides that make a run tiny."""

# Beside every `odbench` that a test starts: a tiny data set and the replay backend.
TINY = [
    "backend=replay",
    "dataset.shapes.train_images=6",
    "dataset.shapes.val_images=4",
    "dataset.shapes.image_size=64",
    "dataset.shards=1",
    "timing=quick",
]
