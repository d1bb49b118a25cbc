"""What a run leaves in OUTPUT: the ledger, one file a page, the names of exported formats. Whole files or none.

Imports `service.page` and `input.page_ids`; knows no network and no run.
"""
