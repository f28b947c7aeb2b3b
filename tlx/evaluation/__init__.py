"""Evaluation: COCO mAP through torchmetrics and the VOC2007 measure of the older papers."""
