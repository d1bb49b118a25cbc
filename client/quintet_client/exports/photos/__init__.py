"""Photos (quintet.photo/1): their results as records, and the photo itself with faces and text hidden.

Needs Pillow to redact. May import what `exports` may.
"""
