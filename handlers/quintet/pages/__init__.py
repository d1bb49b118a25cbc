"""The page chain: pages into text through five networks. `chain.py` is the main path, `stages` its five steps.

Tensors and their records, no server and no file. May import anything below chains: stages, pixels, tensors, engine.
"""
