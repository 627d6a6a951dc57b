"""The key: proof that it is in the hardware that was appraised, and the binding to its name."""
