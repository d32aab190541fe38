"""What a score on a dataset is worth: its facts, ceilings and floors."""
