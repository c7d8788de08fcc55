"""Intake's business: what a contact is, when it joins an open ticket, which facts open tickets by themselves."""
