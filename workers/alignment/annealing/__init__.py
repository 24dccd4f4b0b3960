"""The batched annealer: many chains, incremental energies, exact at the end.

``search`` is the whole course of it; ``problem`` says what is minimized, ``moves`` what is proposed.
A *walk* holds the states of chains and knows their energies: ``margin_walk`` (one hidden layer, on a
CPU, compiled), ``layered_walk`` (MLPs of any depth, any device), ``direct_walk`` (any program).
``reference`` is the engine ``simanneal``.
"""
