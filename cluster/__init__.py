"""Where things live and how they reach each other: settings, store, clients, telemetry."""
