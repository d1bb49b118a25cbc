"""Something to look at: `quintet view` serves a run on loopback, `quintet report` writes it as one HTML file.

Here stands what is shown, as HTTP, HTML and SVG; what it is made of comes from `data`, and `static` is served as it is.
"""
