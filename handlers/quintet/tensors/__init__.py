"""What chains do between networks, in batched tensors: sampling of ragged batches, geometry, components, quads.

Pure functions over tensors and the records they pass. May import nothing of this project.
"""
