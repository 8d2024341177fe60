"""Replication between the members of an ensemble: pure decisions below, roles above them."""
