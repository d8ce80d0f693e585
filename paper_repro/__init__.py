"""The CIFAR experiments of Tao, Sun, Du and Liu (2018), reproduced: `python -m paper_repro`."""
