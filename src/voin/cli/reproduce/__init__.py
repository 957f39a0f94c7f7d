"""`voin reproduce`: where training, the benchmark and jobs, which do not know each other, meet."""
