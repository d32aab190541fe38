"""What finished runs say of each item, and where they are wrong."""
