"""What a ticket's text is about: labels, masking, languages, signs and decisions. Pure."""
