"""Every SQL statement of intake, by subject: receiving contacts, conversation, reading, status, orders."""
