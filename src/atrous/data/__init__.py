"""Label maps: colours, palettes and image files."""
