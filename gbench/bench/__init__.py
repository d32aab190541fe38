"""`gbench bench`: what the kernels and the loader gain, measured on the user's own machine."""
