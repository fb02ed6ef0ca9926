"""What is no table that Shoal reads: each is refused with what to do instead."""

import os
import pickle
import sqlite3
import zipfile
from pathlib import Path

from corpus.cases import IDS, TITLES, VECTORS, case


@case(refused=["tickets.xlsx", "Excel workbook", "CSV UTF-8", "pandas.read_excel"])
def excel_workbook(folder: Path) -> str:
    with zipfile.ZipFile(folder / "tickets.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return "tickets.xlsx"


@case(refused=["tickets.csv", "Excel workbook", "CSV UTF-8"])
def excel_workbook_called_csv(folder: Path) -> str:
    excel_workbook(folder)
    (folder / "tickets.xlsx").rename(folder / "tickets.csv")
    return "tickets.csv"


@case(refused=["docs.csv.zip", "ZIP archive", "Unpack it"])
def csv_in_a_zip_archive(folder: Path) -> str:
    with zipfile.ZipFile(folder / "docs.csv.zip", "w") as archive:
        archive.writestr("docs.csv", "id,text\n1,a\n")
    return "docs.csv.zip"


@case(refused=["docs.pkl", "pickle", "to_parquet"])
def pickle_of_python(folder: Path) -> str:
    (folder / "docs.pkl").write_bytes(pickle.dumps({"ids": IDS, "vectors": VECTORS}))
    return "docs.pkl"


@case(refused=["docs.db", "SQLite database", "DuckDB"])
def database_of_sqlite(folder: Path) -> str:
    with sqlite3.connect(folder / "docs.db") as database:
        database.execute("CREATE TABLE docs (id TEXT)")
    return "docs.db"


@case(refused=["docs.h5", "HDF5", "to_parquet"])
def file_of_hdf5(folder: Path) -> str:
    (folder / "docs.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    return "docs.h5"


@case(refused=["embeddings.pt", "PyTorch", "numpy.save"])
def tensors_of_pytorch(folder: Path) -> str:
    with zipfile.ZipFile(folder / "embeddings.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    return "embeddings.pt"


@case(refused=["questions.txt", "ending", "--format"])
def lines_of_text(folder: Path) -> str:
    (folder / "questions.txt").write_text("\n".join(TITLES))
    return "questions.txt"


@case(refused=["gr\\udcf6\\udcdfe.csv", "has a name that is not UTF-8", "Rename it"])
def name_in_latin_1(folder: Path) -> str:
    name = os.fsdecode(b"gr\xf6\xdfe.csv")
    (folder / name).write_text("id,embedding\n")
    return name


@case(refused=["tickets.parqet", "there is no such file", "tickets.parquet"])
def name_with_a_typing_error(folder: Path) -> str:
    (folder / "tickets.parquet").touch()
    return "tickets.parqet"
