"""The directory service: registrations, people, consent and credentials."""
