"""What survives the process: transaction logs and snapshots in ZooKeeper 3.9's formats."""
