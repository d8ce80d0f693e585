"""Chebyshev graph filters: the view in which the nonlocal blocks become coefficients of one formula.

    F(A, Z) = sum_k T_k(L~) Z Theta_k,   L~ = 2 L / lambda_max - I = -A,   L = I - A,  lambda_max = 2

T_0 = I, T_1 = -A, T_{k+1} = -2 A T_k - T_{k-1} (Zhu et al. 2021). For A self-adjoint in some measure with spectrum
in [-1, 1], |T_k| <= 1 on the spectrum; for any other A the formula still holds as a matrix polynomial.
"""

from nlmodel.filters.chebyshev import chebyshev_filter as chebyshev_filter
from nlmodel.filters.coefficients import block_coefficients as block_coefficients
from nlmodel.filters.coefficients import stage_coefficients as stage_coefficients
from nlmodel.filters.response import response_coefficients as response_coefficients
