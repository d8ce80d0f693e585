"""The workloads: a file each, and the groups in which they are run."""
