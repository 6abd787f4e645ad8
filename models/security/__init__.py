"""Who may do what, and how often: signed tokens, vouched identities, token buckets. Pure: the clock is an argument."""
