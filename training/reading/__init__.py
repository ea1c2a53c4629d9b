"""A release as a map-style torch Dataset, and samplers that can stop in the middle of an epoch and go on."""
