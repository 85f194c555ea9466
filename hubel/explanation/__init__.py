"""Questions to a trained network: what it sees, why it answered, what would change its mind, what it dreams."""
