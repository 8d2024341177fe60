"""From request to reply: prepare, make durable, commit, answer."""
