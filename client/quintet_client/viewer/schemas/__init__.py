"""What the viewer draws of a result, by its schema: one file a schema, entered in `drawings`. Knows no HTML.

A result of a schema that is not here is shown as JSON beside its picture. May import `api.results` and `exports`.
"""
