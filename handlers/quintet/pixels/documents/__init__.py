"""Pages of PDFs and TIFFs as pixels, for the service's codecs and for the process in which the client opens documents.

Run in such processes alone: hostile documents crash native code. May import `quintet.errors` and `pixels.images`.
"""
