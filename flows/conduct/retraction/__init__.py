"""Taking a person, a sample or a corpus out for ever: what goes, what stood on it, what is purged, what is left."""
