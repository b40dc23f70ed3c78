"""Evaluation: detections and ground truth to COCO metrics, per-class AP and drawn pictures."""
