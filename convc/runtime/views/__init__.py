"""What was measured, for people: one page that works offline, and a trace for Perfetto.

    profile_page.py   the page of a profile; comparison_page.py the page of a comparison
    trace.py          the profiled runs in the Chrome trace format

Each figure of a page is one file that turns values into markup: distribution, layers, roofline, drawing, sweep.
"""
