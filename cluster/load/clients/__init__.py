"""The clients that drive a system: visitors, desks, backends and a vendor, over a small seam to the system itself."""
