"""The conformance document: what passes on zkpy and on a real ZooKeeper, from the results of the suites."""
