"""Recognisers that a study trains in every cell, one file a family. None of them is a gate's judge."""
