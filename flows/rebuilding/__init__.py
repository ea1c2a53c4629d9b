"""A published version built again from its commit, and compared stage by stage."""
