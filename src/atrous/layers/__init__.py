"""Layers of the networks, each a pair of pure functions: forward, and backward as its exact adjoint."""
