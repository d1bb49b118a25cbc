"""What to read: files and objects in stores found and named, their pages counted, and loaded by torch's DataLoader.

Only the process of `loader_process` needs torch. Imports `service.page` and, for pages that are decoded here,
`shared_memory.slabs`.
"""
