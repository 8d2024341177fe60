"""Ensembles on this machine: their directories and ports, their processes, and how they are."""
