"""The operations, a file for each family: forward, gradient rule and samples stand together."""
