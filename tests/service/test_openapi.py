"""Requests made from the OpenAPI document: the service answers as it says there, and none breaks it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.service import PHOTOGRAPH, service

pytestmark = pytest.mark.slow

EXAMPLES = os.environ.get("FUNDUSSEG_EXAMPLES")
"""Of each operation, and every kind of value that its schema has; by hand, as it takes minutes."""

CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance,response_headers_conformance"


def test_requests_from_the_document_get_the_answers_of_the_document(bundle, tmp_path):
    command = [Path(sys.executable).with_name("schemathesis"), "run", "--checks", CHECKS]
    phases = "coverage,fuzzing" if EXAMPLES else "fuzzing"
    command += ["--phases", phases, "--max-examples", EXAMPLES or "3", "--seed", "0", "--no-color"]
    with service(bundle, "--store", str(tmp_path / "store")) as running:
        running.post("/v1/store/photographs?patient=P1&grader=anna", [("P1_OD.png", PHOTOGRAPH)])
        command += [f"http://127.0.0.1:{running.port}/openapi.json"]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=900)
        assert said.returncode == 0, said.stdout[-6000:] + said.stderr[-2000:]
        print(said.stdout[-1500:])
        assert running.get("/readyz").status == 200
