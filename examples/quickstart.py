"""The worked example of the README: is this stage stable, how far may it step, what does it keep?"""

import numpy as np

import nlmodel as nl


rng = np.random.default_rng(0)
X = rng.standard_normal((200, 2))  # 200 positions with two features
op = nl.NonlocalOperator.from_points(X, nl.kernels.Gaussian(0.5))  # L = K - I, rows of K sum to one
print(op)

W = np.array([[1.0, -0.6], [0.6, 1.0]])  # eigenvalues 1 +- 0.6i
bound = nl.cfl_limit(op, W)
print(bound)

flow = nl.evolve(op, X, step=0.9 * bound.value, steps=40, weight=W)
print(flow)
print("weighted mean drifts by", f"{flow.mass_drift:.0e};", "energy", f"{flow.energy[0]:.1f} -> {flow.energy[-1]:.3f}")

print(nl.certify(op, [0.9 * bound.value * W] * 4))

try:
    nl.evolve(op, X, step=1.1 * bound.value, steps=40, weight=W)
except nl.errors.UnstableStepError as error:
    print(error)
