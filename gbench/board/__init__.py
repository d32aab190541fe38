"""Records of finished runs, and the tables made from them; imports neither torch nor hydra."""
