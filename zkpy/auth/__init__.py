"""Who is connected and what they may do: authentication schemes and ACL checks."""
