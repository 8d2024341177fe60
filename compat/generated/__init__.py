"""Scripts from a seed against zkpy and a real ZooKeeper; a difference is cut down to its core."""
