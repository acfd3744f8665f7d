"""Functions of neural networks, by family."""
