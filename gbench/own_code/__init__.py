"""The code of the user's own that a run executes: found, stated in its config, kept, imported."""
