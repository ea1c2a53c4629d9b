"""Every generator and preset under one protocol, on features of real corpora: docs/generators.md."""
