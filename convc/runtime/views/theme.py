"""The page's style sheet and its few lines of script. Light and dark follow the reader's system; nothing is fetched.

Categorical colours are those of Okabe and Ito (2008), which colour-blind readers tell apart, adjusted for each background.
"""

STYLE = (
    """
:root{color-scheme:light dark;--paper:#fdfcfa;--card:#fff;--ink:#1d2129;--muted:#666c78;--faint:#e6e4de;--rule:#d3d0c8;
--accent:#b4441b;--cold:#f1efe9;--hot:#f08a4b;--bar:#5b7ea3;--band:#b4441b22;--good:#1f7a4d;--bad:#b4281b;
--k0:#3a76ad;--k1:#d9861c;--k2:#2b9a77;--k3:#b8578f;--k4:#7a62b8;--k5:#5aa9d6;--k6:#9a9a94}
@media (prefers-color-scheme:dark){:root{--paper:#14161a;--card:#1b1e24;--ink:#e8e6e1;--muted:#9aa0ab;--faint:#2a2e36;
--rule:#3a3f49;--accent:#f2926b;--cold:#262a32;--hot:#b8501f;--bar:#6f94bd;--band:#f2926b2b;--good:#5cc48f;--bad:#ff8a75;
--k0:#6ba3d6;--k1:#e5a045;--k2:#4dbb98;--k3:#d482b1;--k4:#a18fdb;--k5:#86c7ea;--k6:#83868d}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",
"Liberation Sans",Arial,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1368px;margin:0 auto;padding:36px 32px 64px}
header h1{font-size:28px;line-height:1.2;letter-spacing:-.015em;margin:0 0 6px;font-weight:650;overflow-wrap:anywhere}
header .lead{color:var(--muted);margin:0;max-width:76ch}
section{margin-top:44px}
h2{font-size:19px;letter-spacing:-.01em;margin:0 0 4px;font-weight:650}
h3{font-size:13px;margin:0 0 8px;font-weight:600;color:var(--muted)}
p{margin:0 0 12px;max-width:84ch}
.note,.source,.fused,.bound{color:var(--muted);font-size:12.5px}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(132px,1fr));gap:1px;background:var(--card);
border:1px solid var(--faint);border-radius:10px;overflow:hidden;margin:22px 0 0}
.facts div{box-shadow:0 0 0 1px var(--faint);padding:13px 16px 12px}
.facts dt{font-size:12.5px;color:var(--muted)}
.facts dd{margin:1px 0 0;font-size:21px;font-weight:600;letter-spacing:-.01em;line-height:1.3}
.facts dd small{font-size:13px;font-weight:400;color:var(--muted)}
.facts .sub{font-size:12px;color:var(--muted);font-weight:400;letter-spacing:0;white-space:normal}
.warnings{margin:18px 0 0;padding:0;list-style:none;max-width:100ch}
.warnings li{border-left:3px solid var(--accent);padding:4px 12px;margin:6px 0;background:var(--band)}
.figures{display:flex;flex-wrap:wrap;gap:26px 24px;margin-top:12px}
.figures>*{max-width:100%}
.figures>.aside{flex:1 1 380px;min-width:0;padding-top:14px}.gains td{overflow-wrap:anywhere}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:26px 40px;margin:18px 0 8px}
.panel{min-width:0}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th{font-size:12.5px;font-weight:500;color:var(--muted);text-align:left;padding:4px 10px 6px 0;border-bottom:1px solid var(--rule);
white-space:nowrap;vertical-align:bottom}
td{padding:4px 10px 4px 0;border-bottom:1px solid var(--faint);vertical-align:middle}
th:last-child,td:last-child{padding-right:0}
.num{text-align:right;white-space:nowrap}
.layers .name{width:34%;max-width:0;overflow-wrap:anywhere}
.layers .bars{width:26%}
.layers .op{white-space:nowrap}
.source{line-height:1.3}
.path{font-weight:550}
.track{position:relative;height:13px}
.fill{position:absolute;left:0;top:0;height:10px;border-radius:2px;min-width:1px}
.span{position:absolute;top:11.5px;height:1.5px;background:var(--ink);opacity:.55}
.groups .name{width:46%;max-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.groups .bars{width:30%}
.groups td{border:0;padding-top:2px;padding-bottom:2px}
.plain td{padding-right:24px}
.points td,.points th{white-space:nowrap}
.points td:first-child{font-weight:550}
.sortable th{cursor:pointer}
.sortable th[aria-sort]{color:var(--ink)}
details{margin-top:16px}
summary{cursor:pointer;color:var(--accent);font-weight:550;padding:2px 0}
details>.wide{margin-top:10px}
svg.plot{display:block;max-width:100%;height:auto;overflow:visible}
svg text{font-size:12px;fill:var(--ink)}
svg .tick{font-size:11px;fill:var(--muted)}svg .label{font-size:12px;fill:var(--muted)}svg .note{font-size:11px;fill:var(--muted)}
svg .accent{fill:var(--accent)}
svg .grid{stroke:var(--faint);stroke-width:1}svg .axis{stroke:var(--rule);stroke-width:1}
svg .bar{fill:var(--bar)}svg .band{fill:var(--band)}
svg line.mark{stroke:var(--ink);stroke-width:1;stroke-dasharray:2 3}
svg line.strong{stroke:var(--accent);stroke-dasharray:none;stroke-width:1.5}
svg text.strong{fill:var(--accent);font-weight:600}
svg .dots{fill:none;stroke:var(--bar);stroke-width:2.6;stroke-linecap:round;opacity:.55}
svg .line{fill:none;stroke:var(--accent);stroke-width:1.6;stroke-linejoin:round}
svg .dot{fill-opacity:.72;stroke:var(--paper);stroke-width:1}
svg .point{font-size:11px;paint-order:stroke;stroke:var(--paper);stroke-width:3px;stroke-linejoin:round}
svg .roof{fill:none;stroke:var(--accent);stroke-width:1.8}svg .cache{stroke-width:1.2;stroke-dasharray:4 4}
svg .above{fill:var(--band);opacity:.55}
svg .layer{stroke:var(--rule);stroke-width:.8}svg .inbox{font-size:10.5px}
svg .edge{fill:none;stroke:var(--muted);stroke-width:1.1;opacity:.75}svg .open{stroke-dasharray:2 3}
svg .stage{fill:var(--k0);opacity:.65}
svg .name{font-size:11.5px}
svg .series{fill:none;stroke-width:2;stroke-linejoin:round}
svg .equal{fill:var(--faint);opacity:.6}svg .zero{stroke:var(--ink);stroke-width:1}
.columns{display:flex;flex-wrap:wrap;gap:22px 14px;align-items:flex-start}
.key{display:flex;align-items:center;gap:8px;margin:8px 0 12px}
.ramp{display:inline-block;width:150px;height:10px;border-radius:3px;
background:linear-gradient(in oklab to right,var(--cold),var(--hot));
border:1px solid var(--rule)}
.verdict{font-size:21px;font-weight:600;letter-spacing:-.01em;margin:18px 0 4px}
.slower{color:var(--bad)}.faster{color:var(--good)}
footer{margin-top:56px;color:var(--muted);font-size:12.5px;border-top:1px solid var(--faint);padding-top:14px}
"""
    + "".join(
        f".k{k}{{background:var(--k{k})}}svg .k{k}{{fill:var(--k{k});background:none}}"
        f"svg .s{k}{{stroke:var(--k{k})}}svg .t{k}{{fill:var(--k{k})}}\n"
        for k in range(7)
    )
    + """
@media (max-width:1040px){.more{display:none}}
@media (max-width:860px){main{padding:24px 20px 48px}}
@media (max-width:720px){.wide>.layers{min-width:680px}.panels{grid-template-columns:minmax(0,1fr)}}
@media print{details{display:block}.sortable th{cursor:auto}}
"""
)

# Sorting by a click on a head; the page says everything without it.
SCRIPT = """
for(const head of document.querySelectorAll('.sortable th')){head.addEventListener('click',()=>{
const table=head.closest('table'),body=table.tBodies[0],at=head.cellIndex;
const value=row=>{const cell=row.cells[at],v=cell.dataset.v??cell.textContent;return v!==''&&!isNaN(v)?Number(v):v};
const down=head.getAttribute('aria-sort')!=='descending';
for(const other of table.tHead.rows[0].cells)other.removeAttribute('aria-sort');
head.setAttribute('aria-sort',down?'descending':'ascending');
const rows=[...body.rows].sort((a,b)=>{const x=value(a),y=value(b);
return (typeof x==='number'&&typeof y==='number'?x-y:String(x).localeCompare(String(y)))*(down?-1:1)});
body.append(...rows)})}
"""
