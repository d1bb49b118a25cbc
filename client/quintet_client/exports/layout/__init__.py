"""What is on a page, for all formats alike: blocks of lines, rows and columns, words within lines.

Geometry and text alone: imports nothing but typed results.
"""
