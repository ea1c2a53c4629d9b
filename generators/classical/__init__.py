"""Classical augmentation: what a study compares generators with. On rows of features, and on payloads."""
