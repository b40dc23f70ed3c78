"""The published TF2 detection zoo: its catalogue, and its checkpoints in a cache."""
