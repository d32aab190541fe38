"""The models: one file each, built from a DataSpec and the settings of their YAML."""
