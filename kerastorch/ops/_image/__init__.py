"""Functions of images, by family."""
