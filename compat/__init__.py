"""Checks which run the same programs against zkpy and against a real ZooKeeper server."""
