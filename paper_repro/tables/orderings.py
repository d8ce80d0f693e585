"""What the paper says about which network is better, as pairs of rows."""

from __future__ import annotations

from collections.abc import Collection

from paper_repro.tables.verdicts import Ordering


SLOW = "original-4-lr0.01"
TOLD = (
    Ordering("original-2", "baseline", "two original blocks help"),
    Ordering("original-2", "original-3", "a third original block hurts"),
    Ordering("original-3", SLOW, "a fourth original block hurts, at a tenth of the rate"),
    Ordering("original-2", "original-4", "four original blocks fail at the full rate, two do not"),
    *(Ordering(f"proposed-{n}", "baseline", f"{n} proposed blocks help") for n in (2, 3, 4, 5, 6)),
    *(Ordering(f"proposed-{n}", f"original-{n}", f"{n} blocks: proposed beat original") for n in (2, 3)),
    Ordering("proposed-4", SLOW, "4 blocks: proposed beat original at a tenth of the rate"),
    Ordering("proposed-4", "original-4", "4 blocks: proposed beat original at the full rate"),
    *(Ordering(f"proposed-{n}", f"proposed-{n - 1}", f"proposed block {n} still helps") for n in (3, 4, 5)),
    Ordering("proposed-5", "proposed-6", "proposed block 6 hurts"),
    Ordering("different-proposed-3", "different-original-3", "at different places: proposed beat original"),
    Ordering("different-original-3", "original-3", "original blocks do better at different places"),
    Ordering("different-proposed-3", "proposed-3", "proposed blocks do better at different places"),
)


def orderings(rows: Collection[str]) -> list[Ordering]:
    """The statements about `rows`; those about others are left out.

    Tao et al. 2018, Secs 3.1 and 5 with Tables 1 and 2.
    """
    return [told for told in TOLD if told.lower in rows and told.higher in rows]
