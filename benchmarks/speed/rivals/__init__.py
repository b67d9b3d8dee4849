"""What a capable user would write after reading the documentation of those libraries."""
