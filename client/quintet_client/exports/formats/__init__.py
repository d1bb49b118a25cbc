"""One module a format, which turns a document, or all that a run read, into its bytes. The list is `output.formats`.

May import `layout`, `documents` and what one format needs; never another format, nor the exporter.
"""
