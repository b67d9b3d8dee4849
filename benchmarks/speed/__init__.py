"""How fast the product is beside what people would write instead; `make bench` runs it.

Two rules make its figures worth reading. Programs that are compared take turns within one run, so
that whatever else the machine does hits them alike. And what is judged is their ratio (or their
difference) turn by turn, with its spread, never a number of milliseconds alone.

Layout: `roads/` has one file for each road that is measured, `rivals/` what others would write,
`ours` the product's parts as programs; `measuring`, `child`, `client` and `servers` are the tools;
`page` and `picture` write what was found.
"""
