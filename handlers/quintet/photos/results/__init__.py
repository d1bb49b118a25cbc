"""Records of photos to results."""
