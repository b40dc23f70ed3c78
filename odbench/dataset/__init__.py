"""Data sets: from a source to validated TFRecords, COCO ground truth and a label map."""
