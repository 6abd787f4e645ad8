"""What supervisors see: hours as they were counted, and the moment as it stands; plain values from plain values."""
