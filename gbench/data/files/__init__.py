"""Raw files and derived ones: found, fetched, verified, cached."""
