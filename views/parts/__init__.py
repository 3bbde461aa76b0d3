"""What pages are made of: caches, controls and links, charts, pictures, words."""
