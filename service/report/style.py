"""How a report looks, and what its page may do. Knows no section."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Nothing is loaded and nothing runs, whatever the page holds; pictures are in the page itself."""

STYLE = """
:root{color-scheme:light}
body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#fff;max-width:820px;
margin:0 auto;padding:24px}
h1{font-size:26px;margin:0}h2{font-size:18px;margin:30px 0 8px;border-bottom:1px solid #ccc}
h1,li,dd,p,.facts td,th[scope=row]{overflow-wrap:anywhere}th[scope=row]{min-width:9em}
p{margin:8px 0}.quiet{color:#555;font-size:13px}
.verdict{border:2px solid #222;border-left-width:10px;padding:8px 16px;margin:16px 0}
.good{border-color:#0072b2}.bad{border-color:#d55e00;border-style:double;border-width:6px}
.verdict strong{font-size:18px}
table{border-collapse:collapse;margin:8px 0;font-size:14px}
th,td{padding:4px 10px;text-align:left;vertical-align:top;border-bottom:1px solid #ddd}
th{font-weight:600}.numbers td,.numbers thead th+th{text-align:right;white-space:nowrap}
.matrix td,.matrix thead th+th{text-align:center}.matrix small{display:block;font-size:11px}
.facts th{white-space:nowrap}.facts td{font-family:ui-monospace,monospace;font-size:12px}
svg{max-width:100%;height:auto}table{display:block;overflow-x:auto;width:fit-content;max-width:100%}
.pictures,.gallery{display:flex;flex-wrap:wrap;gap:8px}
figure{margin:0;width:124px;font-size:12px;overflow-wrap:anywhere}
figure img,.absent{width:124px;height:124px;object-fit:contain;background:#eee}
.absent{display:flex;align-items:center;justify-content:center;color:#555}
dt{font-weight:600;margin-top:8px}dd{margin:0}
@page{size:A4;margin:15mm}
@media print{body{max-width:none;padding:0;font-size:10pt}table{font-size:9pt}th,td{padding:3px 7px}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
svg,table,figure,.verdict,dd{break-inside:avoid}h2,dt{break-after:avoid}}
"""
