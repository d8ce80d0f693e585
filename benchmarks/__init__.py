"""The benchmark room: ours beside the peers in one process, each as a ratio."""
