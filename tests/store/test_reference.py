import re
from pathlib import Path

from sample_runs import finished_run

from qtlplat.store import database, schema
from qtlplat.store.location import StoreLocation
from qtlplat.store.writer import Writer

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "store.md").read_text(encoding="utf-8")


def test_the_reference_names_every_column() -> None:
    for table in schema.metadata.sorted_tables:
        part = PAGE.split(f"**{table.name}**", 1)[1].split("\n**", 1)[0]
        named = set(re.findall(r"`(\w+)`", part)) | ({"run_id"} if table.name == "runs" else set())
        assert {column.name for column in table.columns} <= named, table.name


def test_the_queries_of_the_reference_work(location: StoreLocation) -> None:
    with Writer(location) as writer:
        run_id = finished_run(writer, (0.8, 1.0))
    block = re.search(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert block
    with database.engine(location, write=False).connect() as connection:
        results = [connection.exec_driver_sql(query).all() for query in block[1].strip().rstrip(";").split(";")]
    assert results == [[(run_id, "my-head", 2, 0.9)], [], [(run_id, None)]]
