"""Finished results as files for people and other programs: text, Markdown, hOCR, ALTO, searchable PDF, tables.

`exporter` is the way from OUTPUT's results to OUTPUT/exports; what each format promises stands in docs/outputs.md.
May import `run` (ledger, output, formats), `api.results`, `service.outcomes` and `input`; `run` never imports it.
"""
