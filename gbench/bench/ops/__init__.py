"""One file per operation of gbench/kernels: its workloads, and who else can compute it."""
