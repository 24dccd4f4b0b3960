"""What the barriers between all pairs of some networks say together."""
