"""Looking after stored data from outside a server: logs and snapshots shown, checked, copied, purged."""
