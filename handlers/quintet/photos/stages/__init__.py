"""The stages of photos, one file each: prepare, network, decode. Text detection is in `quintet.stages`.

May import `quintet.engine`, `quintet.tensors` and the records, settings and budgets of photos.
"""
