"""Label maps and photographs: class names, palettes and image files."""
