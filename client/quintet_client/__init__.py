"""The bulk client: feeds folders of pages to a Quintet service and keeps account of every page."""
