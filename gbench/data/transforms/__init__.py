"""Steps between the data and the model: see transform.py."""
