"""Companies, people, invitations, and who of the host company may do what."""
