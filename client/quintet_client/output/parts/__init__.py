"""OUTPUT as parts: Parquet files of many items, committed whole below a folder or an address of a store.

The parts are the truth, and the ledger is made of them. Imports `output` and `input.stores`; alone here needs pyarrow.
"""
