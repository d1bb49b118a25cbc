"""The reference of rows c1 to c3: the same five networks in the same calls, everything around them done one by one.

Page by page and line by line in NumPy and OpenCV, as the seed's packages do it, with their own functions for boxes,
crops and regions.
"""
