"""The compiled loops: all that this package has of numba.

Whoever calls one imports it where it is called: numba takes a second to load the first of them.
"""
