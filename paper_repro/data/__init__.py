"""CIFAR-10 and CIFAR-100: found, checked, ordered, and made into batches.

`load.load` reads a copy of either distribution, `download.download` fetches one, `prepare.prepare` does both and
`prepare.describe` tells what came out; `subset.subset` cuts a fixed part, `synthetic.synthetic` makes a stand-in, and
`pipeline.Pipeline` makes the batches that a network is trained and tested on. Nothing that is read can run code.
"""
