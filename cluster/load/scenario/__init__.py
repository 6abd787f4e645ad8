"""What a run is to be: who writes what, when, to whom, what breaks meanwhile, and what must hold."""
