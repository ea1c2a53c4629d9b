"""A release as training reads it: which samples, decoded how, in which order. No torch."""
