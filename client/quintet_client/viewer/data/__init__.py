"""One OUTPUT, only ever read: its pages, its figures, its words and its pictures. Knows no HTML and no server.

May import `output`, `api.results`, `service.documents` and `input`.
"""
