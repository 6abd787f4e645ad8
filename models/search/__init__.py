"""Search in what was said, as plain rules: what words a query has, and which texts have them."""
