"""The networks of a cell with their units in order: how far apart they lie, and what their mean computes."""
