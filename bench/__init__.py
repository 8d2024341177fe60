"""Speed and memory of zkpy beside Java ZooKeeper on the same machine: ``python -m bench``."""
