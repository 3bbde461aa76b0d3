"""Many runs: grids of settings and their results."""
