"""The export formats by name: suffix of their files, module that makes them, schema of the results that they show."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from quintet_client.errors import UsageError
from quintet_client.input.own_pdfs import derived_pdf
from quintet_client.input.page_ids import derived
from quintet_client.input.source import PDF_EXTENSION
from quintet_client.service.documents import PAGE_SCHEMA

PHOTO_SCHEMA = "quintet.photo/1"


@dataclass(frozen=True, slots=True)
class Format:
    """An export format."""

    name: str  # for `--to` and `--formats`
    suffix: str  # empty: the file has the name of the original
    module: str  # of `exports`, that makes it
    packages: tuple[str, ...] = ()  # imported by that module beyond the client's own dependencies
    files: tuple[str, ...] = ()  # below exports/, of the whole run; without them there is one file a document
    by_document: bool = False  # those files hold documents, not pages
    needs_original: bool = False  # the file that was read has to be there
    schema: str = PAGE_SCHEMA  # of the results that it shows; empty: any

    @property
    def whole_run(self) -> bool:
        """Whether all that was read goes into the same files."""
        return bool(self.files)

    def path_of(self, name: str) -> str:
        """Where the file of a document of this name is, below exports/."""
        return f"{self.name}/{derived_pdf(name)}" if self.suffix == PDF_EXTENSION else self.earlier_path_of(name)

    def earlier_path_of(self, name: str) -> str:
        """Where that file was before PDFs kept their names."""
        return f"{self.name}/{derived(name, self.suffix) if self.suffix else name}"


_TABLES = ("pages", "lines", "words")
FORMATS = (
    Format("txt", ".txt", "formats.plain"),
    Format("md", ".md", "formats.markdown"),
    Format("hocr", ".hocr", "formats.hocr"),
    Format("alto", ".alto.xml", "formats.alto"),
    Format("pdf", ".pdf", "pdf.searchable", packages=("pikepdf", "PIL"), needs_original=True),
    Format(
        "parquet",
        ".parquet",
        "formats.parquet",
        packages=("pyarrow",),
        files=tuple(f"{table}.parquet" for table in _TABLES),
    ),
    Format("csv", ".csv", "formats.tables", files=tuple(f"{table}.csv" for table in _TABLES)),
    Format("jsonl", ".jsonl", "formats.jsonl", files=("pages.jsonl",), schema=""),
    # Dolma's tools find attributes by putting another word in the place of "documents".
    Format("dolma", ".jsonl.gz", "formats.dolma", files=("dolma/documents/0000.jsonl.gz",), by_document=True),
    Format("redacted", "", "photos.redacted", packages=("PIL",), needs_original=True, schema=PHOTO_SCHEMA),
)
NAMES = tuple(format_.name for format_ in FORMATS)


def choose(names: Sequence[str]) -> tuple[Format, ...]:
    """The formats of these names, each once, in order; raises UsageError for one that is unknown or not installed."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise UsageError(f"there is no format {', '.join(map(repr, unknown))}; give some of {','.join(NAMES)}")
    chosen = tuple(format_ for format_ in FORMATS if format_.name in names)
    for format_ in chosen:
        missing = [package for package in format_.packages if find_spec(package) is None]
        if missing:
            raise UsageError(
                f"the format {format_.name} needs {' and '.join(missing)}, which is not installed: "
                "pip install 'quintet[export]'"
            )
    return chosen


def split_names(names: str) -> tuple[str, ...]:
    """Cut "txt, pdf" into names."""
    return tuple(name.strip() for name in names.split(",") if name.strip())
