"""Our clock, against those of the gateways and of the shop's database."""

from __future__ import annotations

from datetime import timedelta

from reconciler.doctor.remark import Remark, fault, warning, well

SUBJECT = "clock"
NOTICED = timedelta(seconds=30)
SECOND = timedelta(seconds=1)


def look(whose: str, off: timedelta, tolerance: timedelta) -> Remark:
    """Judge how far another's clock is ahead of ours (behind: negative)."""
    size = abs(off)
    said = f"{whose} is {size / SECOND:.0f} s {'ahead of' if off > timedelta(0) else 'behind'} this machine"
    remedy = "let one time service set all clocks (chronyc tracking, timedatectl)"
    if size > tolerance:
        return fault(SUBJECT, said, remedy)
    if size > NOTICED:
        return warning(SUBJECT, said, remedy)
    return well(SUBJECT, f"{whose} agrees with this machine, to {max(1, round(size / SECOND))} s")
