"""Training: stacks of networks by stochastic gradient descent, each network on its own streams."""
