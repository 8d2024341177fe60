"""Data directories that move between zkpy and Java servers: ``python -m compat.interchange``.

One server writes a directory and ends, another one is started on it, must show the same, goes on writing and
ends, and the first one takes the directory back.
"""
