"""The running processes: Serve deployments, Ray actors, channels and the command line."""
