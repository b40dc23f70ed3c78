"""Runs with the real engine that are as short as they can be."""

# Few pictures and few steps, every stage.
SHORT = [
    "tracking=none",
    "paths.reports_dir=null",
    "dataset.shapes.train_images=32",
    "dataset.shapes.val_images=5",
    "train.batch_size=2",
    "timing.warmup_steps=2",
    "timing.measured_steps=9",
    "timing.latency_warmup=1",
    "timing.latency_samples=3",
    "train.loss_every_steps=4",
    "train.checkpoint_every_steps=6",
]
