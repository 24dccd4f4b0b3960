"""A report: everything a store has to say of its sweeps, as one HTML file that asks for nothing else."""
