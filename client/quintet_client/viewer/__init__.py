"""Something to look at: `quintet view` serves a run on loopback, `quintet report` writes it as one HTML file.

Here it becomes HTTP, HTML and SVG; the data come from `data`, and the files of `static` are served unchanged.
"""
