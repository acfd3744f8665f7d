"""The Keras API as native PyTorch."""
