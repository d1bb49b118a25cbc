"""What of INPUT is read and what is left out, by name and first bytes; folders walked, what is left out counted.

May import what names and reads files: `source`, `page_ids`, `regular_files`; and the service's `pixels.formats`.
"""
