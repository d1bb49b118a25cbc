"""`pdf`: searchable PDFs of images and of PDFs, and the invisible font of their text layer.

Needs pikepdf and Pillow; imports `layout` and `documents`, and is imported by nobody but through `output.formats`.
"""
