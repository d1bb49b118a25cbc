"""`quintet report`: a run as one HTML file that needs nothing beside it; the same OUTPUT gives the same bytes."""

import base64
from pathlib import Path

from quintet_client.output.folder import write_atomically
from quintet_client.viewer.data.ledger import Filter, name_of
from quintet_client.viewer.data.pictures import NoPictureError, thumbnail
from quintet_client.viewer.data.run import Run
from quintet_client.viewer.data.summary import Summary, summarise
from quintet_client.viewer.drawing import bars, clock, draw_shapes, safe, speed_chart
from quintet_client.viewer.schemas.drawings import drawing_of
from quintet_client.viewer.site import static_files

DEFAULT_SAMPLE = 12
# With twelve pages the file stays below a megabyte; mail takes ten.
_SAMPLE_SIDE_PX = 640
_SAMPLE_QUALITY = 60
_MOST_FAILURES = 100
_MOST_CHARS = 6_000
_STYLES = ("theme.css", "charts.css", "drawing.css", "report.css")
# Whatever a page's text or a file's name may hold, the file loads nothing and runs nothing.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def write_report(run: Run, target: Path, sample: int = DEFAULT_SAMPLE) -> int:
    """Write the report, and return its size in bytes; raises OutputUnwritableError."""
    document = report_page(run, sample).encode("utf-8", "replace")
    write_atomically(target, document)
    return len(document)


def report_page(run: Run, sample: int = DEFAULT_SAMPLE) -> str:
    """Return the report as HTML."""
    summary = summarise(run)
    static = static_files()
    styles = "\n".join(static[name].body.decode() for name in _STYLES)
    body = [_head(summary), _speed(summary), _stages(summary), _failures(run, summary), _sample(run, sample)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><title>{safe(summary.name)} - Quintet report</title><style>{styles}</style></head>'
        f'<body class="report"><main>{"".join(body)}</main></body></html>\n'
    )


def _head(summary: Summary) -> str:
    last = summary.sittings[-1] if summary.sittings else None
    tiles = [
        ("Pages", f"{summary.pages:,}", ""),
        ("Read", f"{summary.counts['ok']:,}", "good"),
        ("Failed", f"{summary.counts['failed']:,}", "bad" if summary.counts["failed"] else ""),
        *([("To do", f"{summary.counts['left']:,}", "")] if summary.counts["left"] else []),
        ("Pages a second", f"{last.pages_per_s:.2f}" if last else "none yet", ""),
        ("Time", clock(last.seconds) if last else "none yet", ""),
    ]
    shown = "".join(f'<div class="tile {kind}"><dt>{name}</dt><dd>{value}</dd></div>' for name, value, kind in tiles)
    facts = "".join(f"<dt>{safe(name)}</dt><dd>{safe(value)}</dd>" for name, value in summary.facts)
    note = f'<p class="notice">{safe(summary.note)}</p>' if summary.note else ""
    return (
        f'<header><p class="kicker">Quintet report</p><h1>{safe(summary.name)}</h1>'
        f'<p class="equation">{safe(summary.equation)}</p></header>{note}'
        f'<dl class="tiles">{shown}</dl><section><h2>The run</h2><dl class="facts">{facts}</dl></section>'
    )


def _speed(summary: Summary) -> str:
    if not summary.sittings:
        return ""
    last = summary.sittings[-1]
    earlier = len(summary.sittings) - 1
    more = f" {earlier} earlier stretch{'es' if earlier > 1 else ''} of work not drawn." if earlier else ""
    return _section(
        "Speed",
        f"Pages a second from {last.started_at:%Y-%m-%d %H:%M:%S} UTC, {last.ok + last.failed:,} pages.{more}",
        speed_chart(last),
    )


def _stages(summary: Summary) -> str:
    if not summary.stages:
        return ""
    text = "Seconds a page spent in each stage of the last run: half of the pages less (dark), 95 of 100 less (light)."
    return _section("Stages", text, bars(summary.stages)) + _models(summary)


def _models(summary: Summary) -> str:
    if not summary.models:
        return ""
    return _section(
        "Models", "Seconds of the service in each stage, for all pages of the last run.", bars(summary.models)
    )


def _failures(run: Run, summary: Summary) -> str:
    if not summary.codes:
        return _section("Failures", "No page failed.", "")
    failed = run.ledger.entries(Filter(state="failed"), 0, _MOST_FAILURES)
    rows = "".join(
        f"<tr><td>{safe(name_of(entry.page_id))}</td><td><code>{safe(entry.code)}</code></td><td>{safe(entry.message)}</td></tr>"
        for entry in failed
    )
    more = summary.counts["failed"] - len(failed)
    rest = f"<p>{more:,} more are not listed here.</p>" if more > 0 else ""
    table = f"<table><thead><tr><th>Page</th><th>Code</th><th>Reason</th></tr></thead><tbody>{rows}</tbody></table>"
    chart = bars(summary.code_amounts())
    return _section("Failures", f"{summary.counts['failed']:,} pages could not be read.", f"{chart}{table}{rest}")


def _sample(run: Run, count: int) -> str:
    total = run.ledger.count(Filter(state="ok"))
    count = min(total, count)
    chosen = [run.ledger.entries(Filter(state="ok"), place * total // count, 1) for place in range(count)]
    figures = "".join(_figure(run, found[0].page_id) for found in chosen if found)
    if not figures:
        return ""
    text = "Spread evenly over the run by name, turned as a person looks at them, with what was found in them."
    return _section("Sample", text, f'<div class="sample">{figures}</div>')


def _figure(run: Run, page_id: str) -> str:
    document = run.document(page_id)
    if not document:
        return ""
    drawing = drawing_of(document)
    picture, missing = "", ""
    try:
        jpeg = thumbnail(run.pictures.get(page_id), 0, _SAMPLE_SIDE_PX, _SAMPLE_QUALITY)
        picture = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    except NoPictureError as error:
        missing = f'<span class="why">Without its image: {safe(str(error))}.</span>'
    if drawing:
        shown, said = draw_shapes(drawing, picture), drawing.said
    else:
        shown = f'<img class="page" alt="" src="{picture}">' if picture else ""
        said = f"read as {document.get('schema')}"
    name, text = ("Text", drawing.text) if drawing and drawing.text else ("Result", run.text(page_id))
    more = f"<details><summary>{name}</summary><pre>{safe(text[:_MOST_CHARS])}</pre></details>"
    return (
        f"<figure>{shown}<figcaption><strong>{safe(name_of(page_id))}</strong><span>{safe(said)}</span>{missing}{more}"
        "</figcaption></figure>"
    )


def _section(title: str, text: str, content: str) -> str:
    return f"<section><h2>{title}</h2><p>{text}</p>{content}</section>"
