"""How the harness reaches a system under load: the seam, raydesk behind it, and a bare relay."""
