"""Finished results as files for people and other programs: text, Markdown, hOCR, ALTO, searchable PDF, tables.

`registry` names the formats, `exporter` is the way from OUTPUT's results to OUTPUT/exports. What each format promises
stands in docs/outputs.md.
"""
