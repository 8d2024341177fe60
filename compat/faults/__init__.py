"""Faults against ensembles of real processes, and checkers for what clients saw meanwhile.

``python -m compat.faults`` runs it; `docs` of each module say what it knows.
"""
