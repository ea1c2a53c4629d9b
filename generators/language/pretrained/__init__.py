"""Pretrained language models from a path or a hub, fine-tuned on the lines of train."""
