"""`pdf`: searchable PDFs of images and of PDFs, and the invisible font of their text layer.

`searchable` makes them; `samples` and `tiff` take what an image's file holds as it is, `archival` makes it PDF/A.
Needs pikepdf and Pillow; imports `layout`, `documents` and `quintet.pixels.images`, and is imported by nobody but
through `output.formats`.
"""
