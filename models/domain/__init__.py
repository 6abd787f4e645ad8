"""The words of raydesk as types: identities, messages, conversations, commands, placements, errors."""
