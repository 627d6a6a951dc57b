"""The report as one HTML file that needs no network: its style, its plots and its tables inside.

``document.page(document, before)`` is the whole of it.
"""
