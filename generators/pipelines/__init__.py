"""Pretrained pipelines of diffusers, fine-tuned on the images of train."""
