"""A chain of five networks over images: scene, objects, and of each object its kind, its mask and its keypoints."""
