"""Shards: tars and Parquet files that hold many images, and Parquet manifests that name them; listed, and read in part.

May import what names, stamps and reads files and objects: `source`, `page_ids`, `regular_files`, `stores`. pyarrow is
imported where it is used: tars need nothing.
"""
