"""The only package that knows the other two, SQL and HTTP: it makes a product of them."""
