"""One big graph in batches: sampled neighbourhoods, and parts that few edges leave."""
