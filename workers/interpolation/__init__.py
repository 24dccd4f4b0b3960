"""Interpolation: loss and error along the segment between networks, and the barriers they show."""
