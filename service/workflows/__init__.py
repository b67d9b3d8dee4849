"""What the product does, one file a verb, free of any web framework."""
