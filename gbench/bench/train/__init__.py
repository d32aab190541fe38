"""The official ways to train the models: what gbench's training is measured against."""
