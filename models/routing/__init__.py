"""Who gets which conversation: presence, capacity, skills, the waiting line."""
