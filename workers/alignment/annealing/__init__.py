"""The batched annealer: many chains, incremental energies, exact at the end.

``search`` is the whole course of it; ``problem`` says what is minimized, ``moves`` what is proposed.
A *walk* holds the states of chains and knows their energies: ``margin_walk`` (MLPs of one hidden layer)
and ``deep_walk`` (of more) are compiled, for float32 on a CPU; ``layered_walk`` is one tensor program for
MLPs of any depth on any device; ``convolved_walk`` serves shallow convolutional networks, and
``direct_walk`` any program.
``reference`` is the engine ``simanneal``.
"""
