"""The machine and the model of a profile, as a section: without it no figure can be compared with another."""

from __future__ import annotations

from ..profile.record import GpuState, MachineState, Point, Profile
from .figures import rounded, scaled
from .markup import Child, Markup, el
from .shell import lines, section


def machine_section(profile: Profile) -> Markup:
    """Processor, GPUs, versions, provider options; what moved between start and end; the notes."""
    start, end = profile.start, profile.end
    told: list[tuple[str, Child]] = [
        ("processor", f"{start.cpu_model}, {start.cpu_cores} cores, {start.cpu_usable} usable"),
        ("instructions", ", ".join(start.cpu_flags)),
        ("platform", start.platform),
        ("memory", scaled(start.memory_total_bytes, "B") if start.memory_total_bytes else ""),
        ("load", _moved(start.load_1min, end.load_1min, "")),
        (
            "clock",
            _moved(start.cpu_mhz, end.cpu_mhz, "MHz") + (f", {start.cpu_governor}" if start.cpu_governor else ""),
        ),
        *_gpus(start, end),
        ("versions", ", ".join(f"{name} {version}" for name, version in start.versions.items())),
        *_providers(profile.points),
        ("model", f"{profile.model.file}, {profile.model.bytes:,} bytes, opset {profile.model.opset or 'unknown'}"),
    ]
    rows = [el("tr", el("td", name, class_="note"), el("td", text)) for name, text in told if text]
    table = el("table", el("tbody", rows), class_="plain machine")
    return section("machine", "Machine", el("div", table, class_="wide"), lines(*profile.notes))


def _moved(before: float | None, after: float | None, unit: str) -> str:
    if before is None:
        return ""
    end = f" → {rounded(after)}" if after is not None else ""
    return f"{rounded(before)}{end} {unit}".rstrip()


def _gpus(start: MachineState, end: MachineState) -> list[tuple[str, Child]]:
    found: list[tuple[str, Child]] = []
    for k, gpu in enumerate(start.gpus):
        after = end.gpus[k] if k < len(end.gpus) else gpu
        found.append(("GPU", _gpu(gpu, after)))
    return found


def _gpu(before: GpuState, after: GpuState) -> str:
    parts = [
        before.name,
        f"driver {before.driver}" if before.driver else "",
        f"SM clock {_moved(before.sm_clock_mhz, after.sm_clock_mhz, 'MHz')}" if before.sm_clock_mhz is not None else "",
        f"power {_moved(before.power_w, after.power_w, 'W')}" if before.power_w is not None else "",
        f"{_moved(before.temperature_c, after.temperature_c, '°C')}",
        f"throttled: {after.throttle}" if after.throttle else "",
    ]
    return ", ".join(part for part in parts if part)


def _providers(points: tuple[Point, ...]) -> list[tuple[str, Child]]:
    found: dict[str, str] = {}
    for point in points:
        use = point.provider
        options = ", ".join(f"{key}={value}" for key, value in use.options.items())
        placed = ", ".join(f"{count} nodes on {name}" for name, count in use.placement.items())
        parts = [use.engine, options, placed, *use.notes]
        found.setdefault(use.name, "; ".join(part for part in parts if part))
    return [(f"provider {name}", text) for name, text in found.items()]
