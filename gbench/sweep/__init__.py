"""Many runs: from words to points, each point in its own process, none lost."""
