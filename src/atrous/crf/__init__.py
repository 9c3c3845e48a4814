"""Conditional random fields on the labels of an image: pairs of pixels prefer to agree."""
