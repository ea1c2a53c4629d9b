"""Effects of rare classes in feature space: `python -m benchmarks.effects`."""
