"""A search for good settings by validation alone: trials, each in its own process, in one study."""
