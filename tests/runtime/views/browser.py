"""A real headless Chromium, as far as tests need one: a page goes in, what it became comes out."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync",
    "--hide-scrollbars", "--enable-logging=stderr",
)  # fmt: skip

# Runs after everything else of the page, and leaves its findings where --dump-dom shows them.
_PROBE = """
<script>
const errors=[];addEventListener('error',e=>errors.push(e.message));
addEventListener('securitypolicyviolation',e=>errors.push('policy '+e.violatedDirective));
const look=()=>{
const seen=e=>e.checkVisibility();
const box=e=>{const r=e.getBoundingClientRect();return [r.left,r.top,r.right,r.bottom]};
const name=e=>e.tagName+'.'+(e.getAttribute('class')||'')+' '+(e.textContent||'').slice(0,40);
const meet=(a,b,m)=>a[0]+m<b[2]&&b[0]+m<a[2]&&a[1]+m<b[3]&&b[1]+m<a[3];
const empty=[],outside=[],overlaps=[],cut=[];
for(const e of document.querySelectorAll('section,h1,h2,h3,p,table,td,th,svg,svg text,svg circle,svg rect,.facts div')){
 if(!seen(e)||e.matches('td:empty'))continue;const r=e.getBoundingClientRect();
 if(!(r.width>0&&r.height>0)&&!(e.tagName==='th'))empty.push(name(e))}
for(const svg of document.querySelectorAll('svg')){if(!seen(svg))continue;const frame=box(svg);
 const texts=[...svg.querySelectorAll('text')].filter(t=>t.textContent);
 for(const t of texts){const r=box(t);if(r[0]<frame[0]-2||r[2]>frame[2]+2||r[1]<frame[1]-2||r[3]>frame[3]+2)outside.push(name(t))}
 for(let i=0;i<texts.length;i++)for(let j=i+1;j<texts.length;j++)
  if(meet(box(texts[i]),box(texts[j]),2))overlaps.push(name(texts[i])+' | '+name(texts[j]))}
for(const sel of ['section','.figures>*','.panel','.facts div','svg.drawing','tr td']){
 const all=[...document.querySelectorAll(sel)].filter(seen);
 for(let i=0;i+1<all.length;i++)if(all[i].parentNode===all[i+1].parentNode&&meet(box(all[i]),box(all[i+1]),1))
  overlaps.push(name(all[i])+' | '+name(all[i+1]))}
for(const e of document.querySelectorAll('td,th,dd,dt,h1,h2,p,.wide')){
 if(seen(e)&&e.scrollWidth>e.clientWidth+1&&getComputedStyle(e).textOverflow!=='ellipsis'&&e.clientWidth)cut.push(name(e))}
const root=document.documentElement;
return {errors,empty,outside,overlaps,cut,width:innerWidth,page:root.scrollWidth,height:root.scrollHeight}};
addEventListener('load',()=>{const folded=look();
for(const d of document.querySelectorAll('details'))d.open=true;
const found={folded,unfolded:look()};
const pre=document.createElement('pre');pre.id='probe';pre.hidden=true;
pre.textContent=JSON.stringify(found);document.body.append(pre)})
</script>
"""


@dataclass(frozen=True)
class Seen:
    """The page after its scripts ran, and what the probe found in it: `folded`, `unfolded`."""

    dom: str
    found: dict[str, dict[str, Any]]
    console: list[str]

    def cells(self, table: str, column: int) -> list[str]:
        """The texts of a column of the first table of that class."""
        body = self.dom.split(f'<table class="{table}', 1)[1].split("</table>", 1)[0].split("<tbody>", 1)[1]
        rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.DOTALL)
        return [text_of(re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)[column]) for row in rows]

    def attribute(self, table: str, column: int, name: str) -> list[str]:
        """The values of an attribute down a column of the first table of that class."""
        body = self.dom.split(f'<table class="{table}', 1)[1].split("</table>", 1)[0].split("<tbody>", 1)[1]
        rows = re.findall(r"<tr[^>]*>(.*?)</tr>", body, re.DOTALL)
        return [re.findall(r"<td([^>]*)>", row)[column].split(f'{name}="', 1)[1].split('"', 1)[0] for row in rows]


class Browser:
    """Opens pages, each with an empty profile."""

    def __init__(self, command: str, folder: Path) -> None:
        self.command = command
        self.folder = folder

    def open(self, page: str, width: int) -> Seen:
        """The page at that width, looked at as it comes and again with everything unfolded."""
        path = self.folder / "page.html"
        path.write_text(page.replace("<style>", f"{_PROBE}<style>", 1), encoding="utf-8")
        done = self._run("--dump-dom", f"--window-size={width},2000", path.as_uri())
        told = re.search(r'<pre id="probe"[^>]*>(.*?)</pre>', done.stdout, re.DOTALL)
        assert told, f"the page did not load: {done.stderr[-400:]}"
        console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
        return Seen(done.stdout, json.loads(unescape(told[1])), console)

    def picture(self, page: str, width: int, height: int) -> Path:
        """A screenshot."""
        path, target = self.folder / "plain.html", self.folder / f"page-{width}.png"
        path.write_text(page, encoding="utf-8")
        self._run(f"--screenshot={target}", f"--window-size={width},{height}", path.as_uri())
        return target

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        profile = self.folder / "profile"
        shutil.rmtree(profile, ignore_errors=True)
        line = [self.command, *_FLAGS, f"--user-data-dir={profile}", *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, check=True)


def found_browser() -> str:
    """The command of a Chromium; skips the test where there is none."""
    for name in (os.environ.get("CONVC_CHROMIUM", ""), *_NAMES):
        if name and (path := shutil.which(name)):
            return path
    pytest.skip("no Chromium: apt-get install chromium, or set CONVC_CHROMIUM")


def text_of(markup: str) -> str:
    """What a reader sees of it."""
    return unescape(re.sub(r"<[^>]+>", "", markup)).strip()
