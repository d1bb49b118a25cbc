"""Finished results as files for people and other programs: text, Markdown, hOCR, ALTO, searchable PDF, tables, corpora.

`exporter` leads from OUTPUT's results to OUTPUT/exports; docs/outputs.md says what each format promises.
May import `output`, `api.results`, `service.outcomes` and `input`; none of them imports it.
"""
