"""The commands of ``raydesk``, one file each, and what they share; Ray is imported by `raydesk up` alone."""
