"""Jute, ZooKeeper's serialisation: primitives, generated records, framing."""
