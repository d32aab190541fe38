"""CPU implementations, in files named as the operations; imported when first used."""
