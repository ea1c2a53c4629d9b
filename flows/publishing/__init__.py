"""The steps of publishing a version, one module each; `flows/conduct/publish.py` walks them."""
